"""Salted fingerprints of settings and secrets: whose a token is, and with what it was asked for."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from pydantic import BaseModel

from tokend.plugin.provider import Runtime
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.secret_table import SecretTable
from tokend.plugin.settings import HeldSettings, ProviderSettings, SinkSettings
from tokend.values.errors import SecretError
from tokend.values.secret import Secret


@dataclass(frozen=True, slots=True)
class Identity:
    """``account`` says whose token it is, ``request`` what is asked (places of secrets, not their content),
    ``secrets`` what all secrets hold now. Hex strings that give nothing away."""

    account: str
    request: str
    secrets: str


async def identify(
    settings: ProviderSettings,
    runtime: Runtime,
    digest: Callable[[bytes], str],
    accounts: Callable[[str], str | None],
) -> Identity:
    """Read every secret of ``settings`` once and fingerprint the whole. Raises `SecretError`.

    ``accounts`` returns the account of another provider's token. Where that token is a secret, its account and not its
    content says whose the own token is: a renewed access token is no other account. For a
    kind that signs here the content counts, as with every secret: it signs again at once.
    """
    optional = settings.optional_secrets()
    revealed: dict[str, Secret] = {}
    # Credentials that need not be there. They count for ``secrets`` alone: whose the token is must not depend on them.
    present: dict[str, Secret] = {}
    for name, source in settings.secrets().items():
        if name not in optional:
            revealed[name] = await runtime.reveal(source)
        elif name in settings.request_fields():
            with suppress(SecretError):
                present[name] = await runtime.reveal(source)
    account, whose = settings.request_fields(), revealed
    if isinstance(settings, HeldSettings):
        account = settings.account_fields
        whose = {name: settings.account_part(name, secret) for name, secret in revealed.items()}
    if not settings.local:
        whose = {**whose, **_accounts_of_tokens(settings, accounts)}
    return Identity(
        account=digest(_canonical(settings, account, whose)),
        request=digest(_canonical(settings, settings.request_fields(), {})),
        secrets=digest(_canonical(settings, settings.request_fields() | revealed.keys(), revealed | present)),
    )


def _accounts_of_tokens(settings: ProviderSettings, accounts: Callable[[str], str | None]) -> dict[str, Secret]:
    """Return the accounts of the other providers whose tokens are secrets here, by key."""
    tokens = {key: one.token for key, one in settings.secrets().items() if one.token is not None}
    return {key: Secret(f"token of {accounts(name)}") for key, name in tokens.items()}


def request_fingerprint(settings: ProviderSettings, digest: Callable[[bytes], str]) -> str:
    """Fingerprint the ``request`` part alone: no secret is read."""
    return digest(_canonical(settings, settings.request_fields(), {}))


def shared_request_fingerprint(settings: ProviderSettings, digest: Callable[[bytes], str]) -> str:
    """Fingerprint the ``request`` part without its secrets: other daemons may keep the same secret elsewhere."""
    return digest(_canonical(settings, settings.request_fields() - settings.secrets().keys(), {}))


def connection_fingerprint(settings: ProviderSettings, digest: Callable[[bytes], str]) -> str:
    """Fingerprint the way that requests take: proxy, authorities, certificates."""
    return digest(_canonical(settings, settings.connection_fields(), {}))


def rate_limited_account(settings: HeldSettings, digest: Callable[[bytes], str]) -> str | None:
    """Fingerprint the account whose requests the vendor counts, by the places of its secrets: no secret is read.

    None for kinds whose vendor counts no account's requests.
    """
    if not settings.interval_is_per_account:
        return None
    return digest(_canonical(settings, settings.account_fields, {}))


def sink_fingerprint(settings: SinkSettings, digest: Callable[[bytes], str]) -> str:
    """Fingerprint all settings of a sink, with the places of its secrets: no secret is read."""
    return digest(b"settings of a sink\0" + _encoded(settings))


def _encoded(value: object) -> bytes:
    """Encode a value of the settings so that equal bytes mean equal values."""
    if isinstance(value, Secret):
        parts = [b"secret", value.reveal_bytes()]
    elif isinstance(value, BaseModel):
        parts = [type(value).__name__.encode(), *(_encoded(item) for item in value.__dict__.items())]
    elif isinstance(value, Mapping):
        parts = [b"mapping", *(_encoded(item) for item in value.items())]
    elif isinstance(value, (tuple, list)):
        parts = [b"list", *(_encoded(item) for item in value)]
    else:
        parts = [repr(value).encode("utf-8", "surrogatepass")]
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def _is_hidden_in_part(value: object) -> bool:
    """Return whether a table's repr leaves something out: texts of a declared request, which may hold a secret."""
    return isinstance(value, BaseModel) and not all(one.repr for one in type(value).model_fields.values())


def _canonical(settings: ProviderSettings, fields: Iterable[str], revealed: dict[str, Secret]) -> bytes:
    """Encode fields so that equal bytes mean equal values. ``repr`` keeps types apart and the order of claims."""
    parts: list[bytes] = [settings.kind.encode()]
    for name in sorted(fields):
        # A secret within a table has a key with a dot, and is no attribute.
        value = None if name in revealed else getattr(settings, name)
        if name in revealed:
            content = revealed[name].reveal_bytes()
        elif isinstance(value, SecretTable):
            content = _encoded(value)
        elif isinstance(value, SecretSource):
            literal = b"" if value.literal is None else value.literal.reveal_bytes()
            part = "" if value.select is None else f"{value.select.text}|"
            content = f"{value.place}|{value.command!r}|{value.encoding}|{part}".encode() + literal
        elif _is_hidden_in_part(value):
            content = _encoded(value)
        else:
            content = repr(value).encode("utf-8", "surrogatepass")
        parts.append(name.encode() + b"=" + len(content).to_bytes(8, "big") + content)
    return b"\x00".join(parts)
