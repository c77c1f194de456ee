"""Configuration of the simulated daemon: the real kinds of providers, watched, and a file that is written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from tokend.config import ProviderConfig
from tokend.plugin.provider import Runtime
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import SinkSettings
from tokend.plugin.settings_base import Percentage
from tokend.plugin.sink import SinkRuntime
from tokend.providers.auth_token import AuthToken
from tokend.providers.jwt import Jwt
from tokend.providers.projectx import ProjectX
from tokend.providers.tt import TT
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token

# Which spec a provider was made from stands in a header: that is neither in the request nor in the account.
MARK = "X-Spec"
ASKED = {"clientId": "c", "username": "u", "displayName": "d", "ipAddress": "127.0.0.1"}


class WatchedLogin(ProjectX):
    """`projectx`, whose attempts are seen."""

    async def fetch(self, runtime: Any, previous: Token | None) -> Token:
        token: Token = await runtime.attempted(super().fetch(runtime, previous))
        return token


class WatchedTT(TT):
    """`tt`, whose attempts are seen."""

    async def fetch(self, runtime: Any, previous: Token | None) -> Token:
        token: Token = await runtime.attempted(super().fetch(runtime, previous))
        return token


class WatchedJwt(Jwt):
    """`jwt`, whose attempts are seen."""

    async def fetch(self, runtime: Any, previous: Token | None) -> Token:
        token: Token = await runtime.attempted(super().fetch(runtime, previous))
        return token


class WatchedIssuer(AuthToken):
    """`auth-token`; its calls are counted by who asks."""

    async def issue(self, runtime: Runtime, parameters: Mapping[str, str]) -> Token:
        return await super().issue(runtime, parameters)


class FileSink(SinkSettings):
    """A file on the simulated disk, of one token or of several."""

    kind: Literal["file"] = "file"
    path: str

    @property
    def target(self) -> str:
        return self.path

    @property
    def file_path(self) -> Path:
        return Path(self.path)

    async def write(self, runtime: SinkRuntime, lease: Lease) -> bool:
        return await runtime.run_in_thread(lambda: HERE[-1].write_file(self.path, (lease,)))

    async def remove(self, runtime: SinkRuntime) -> bool:
        return await runtime.run_in_thread(lambda: HERE[-1].remove_file(self.path))

    async def probe(self, runtime: SinkRuntime) -> None:
        await runtime.run_in_thread(lambda: HERE[-1].probe_file(self.path))

    async def announce(self, runtime: SinkRuntime) -> None:
        await runtime.run_in_thread(lambda: HERE[-1].probe_file(self.path))


class CombiningFileSink(FileSink):
    """A file of several tokens."""

    kind: Literal["combining"] = "combining"  # type: ignore[assignment]  # each kind has a name of its own
    tokens: tuple[str, ...] = ()

    async def write_all(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> bool:
        return await runtime.run_in_thread(lambda: HERE[-1].write_file(self.path, (lease, *others.values())))


HERE: list[Any] = []
"""Sinks are values and hold no process; the running one is theirs."""


@dataclass(frozen=True)
class Spec:
    """One provider's table, as a person would think of it."""

    mark: str
    kind: str  # projectx | tt | jwt | auth-token
    host: str
    user: str
    secret: Path
    life: float = 900.0  # of a minted token
    lead: timedelta | Percentage | None = None
    removes: bool = False
    validates: bool = False
    proxy: str | None = None
    timeout: float = 30.0
    files: tuple[str, ...] = ()
    with_others: tuple[str, ...] = ()  # marks of those whose tokens stand in the first file, too

    def but(self, **changes: Any) -> "Spec":
        """The same, edited."""
        return replace(self, **changes)

    def account(self, secrets: Mapping[Path, str | None]) -> str:
        """Whose tokens it gets."""
        if self.kind == "jwt":
            return f"jwt {secrets.get(self.secret)} {int(self.life)}"
        return f"{self.kind} {self.host} {self.user}"


def configured(name: str, spec: Spec, names: Mapping[str, str]) -> ProviderConfig:
    """The provider's configuration; ``names`` are all providers' by mark."""
    return ProviderConfig(name=name, settings=_settings(spec), sinks=tuple(_sinks(spec, names)))


def _settings(spec: Spec) -> Any:
    common: dict[str, Any] = {"headers": {MARK: spec.mark}, "timeout": timedelta(seconds=spec.timeout)}
    secret = SecretSource(file=spec.secret)
    url = f"https://{spec.host}"
    if spec.kind == "auth-token":
        return WatchedIssuer(**common, base_url=url, client_secret=secret, proxy=spec.proxy)
    common |= {"refresh_before": spec.lead, "on_expiry": "remove" if spec.removes else "keep"}
    if spec.kind == "jwt":
        return WatchedJwt(**common, secret=secret, ttl=timedelta(seconds=int(spec.life)))
    common |= {"base_url": url, "proxy": spec.proxy}
    user = SecretSource(literal=Secret(spec.user))
    if spec.kind == "tt":
        return WatchedTT(
            **common, environment="uat", api_key=user, api_secret=secret, app_name="app", company_name="company"
        )
    return WatchedLogin(**common, username=user, api_key=secret, refresh="validate" if spec.validates else "login")


def _sinks(spec: Spec, names: Mapping[str, str]) -> list[FileSink]:
    others = tuple(names[mark] for mark in spec.with_others if mark in names)
    if not others:
        return [FileSink(path=path) for path in spec.files]
    return [
        CombiningFileSink(path=path, tokens=others) if number == 0 else FileSink(path=path)
        for number, path in enumerate(spec.files)
    ]
