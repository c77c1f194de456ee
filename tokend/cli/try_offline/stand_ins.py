"""Stand-ins for secrets: what an attempt without the real ones is made of. No place of a secret is looked at."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import quote, urlsplit

from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import ProviderSettings
from tokend.plugin.shown_text import NOT_SHOWN, looks_secret
from tokend.values.secret import Secret

CURVES = ("SECP256R1", "SECP384R1", "SECP521R1")


class StandIns:
    """One stand-in for each secret of a provider: ``{name}``, or a new key where the kind demands one."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self._sources = settings.secrets()
        self._made: dict[str, Secret] = {}

    def of(self, source: SecretSource) -> Secret:
        """Return the stand-in of a secret."""
        name = next((name for name, one in self._sources.items() if one is source), None)
        if name is None:
            name = next((name for name, one in self._sources.items() if one == source), "secret")
        if name not in self._made:
            self._made[name] = self._usable(name)
        return self._made[name]

    def shown(self, url: str) -> str:
        """Return a URL for people: placeholders for the secrets in it; a text that looks like a secret is hidden."""
        parts = urlsplit(url)
        pairs = [] if not parts.query else [self._pair(pair) for pair in parts.query.split("&")]
        path = "/".join(self._text(one) for one in parts.path.split("/"))
        return f"{parts.scheme}://{parts.netloc}{path}{'?' if pairs else ''}{'&'.join(pairs)}"

    def _pair(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        return f"{self._text(name)}{equals}{self._text(value)}"

    def _text(self, text: str) -> str:
        if looks_secret(text):
            return NOT_SHOWN
        for name in ("token", "refresh_token", *map(_last, self._sources)):
            text = text.replace(quote(f"{{{name}}}", safe=""), f"{{{name}}}")
        return text

    def _usable(self, name: str) -> Secret:
        """Return the first candidate in which the kind finds no fault; the plain text if there is none."""
        plain = stand_in(_last(name))
        for candidate in (plain.reveal, *_keys(self._settings)):
            secret = Secret(candidate())
            try:
                if name not in self._settings.unusable_secrets({name: secret}):
                    return secret
            except Exception:  # noqa: S112  # a kind's own code: what it cannot read it finds fault with
                continue
        return plain


def stand_in(name: str) -> Secret:
    """Return the stand-in with this name."""
    return Secret(f"{{{name}}}")


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _keys(settings: ProviderSettings) -> Iterator[Callable[[], str]]:
    """Return what makes new keys, of the sorts that kinds sign with."""
    yield _rsa
    for name in CURVES:
        yield partial(_of_curve, name)
    yield _ed25519
    yield partial(_google_key, settings)


def _rsa() -> str:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return _pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def _of_curve(name: str) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec

    return _pem(ec.generate_private_key(getattr(ec, name)()))


def _ed25519() -> str:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return _pem(ed25519.Ed25519PrivateKey.generate())


def _google_key(settings: ProviderSettings) -> str:
    """Return the key file of a service account, as Google's console gives it."""
    uri = f"{getattr(settings, 'base_url', 'https://oauth2.googleapis.com')}/token"
    key = {"type": "service_account", "private_key": _rsa(), "private_key_id": "stand-in", "token_uri": uri}
    return json.dumps({**key, "client_email": "stand-in@project.iam.gserviceaccount.com", "client_id": "1"})


def _pem(key: object) -> str:
    from cryptography.hazmat.primitives import serialization as form

    written: bytes = key.private_bytes(  # type: ignore[attr-defined]  # all keys have it
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    )
    return written.decode()
