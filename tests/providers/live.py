"""A `plugin.provider.Runtime` over the real client, with a clock that stands still and a dictionary as environment."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import anyio

from tests.providers.private_keys import google_key, rsa_pem
from tests.upstream.clocks import StandingClock
from tests.upstream.loopback import Behaviour, Loopback, serving
from tokend.machine.command import EndedCommand
from tokend.plugin.clean_command import run_clean
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.login import Remembered
from tokend.plugin.secret_reading import read_secret
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import ProviderSettings
from tokend.upstream.client import Upstream
from tokend.values.errors import AttemptError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import JSON, Token

T = TypeVar("T")
NOW = 1_700_000_000
ENVIRON = {
    "USERNAME": "fake-user",
    "API_KEY": "fake-api-key",
    "API_SECRET": "fake-api-secret",
    "CLIENT_SECRET": "your-secret-key",
    "AUTH_KEY": "YOUR_AUTH_KEY",
    "ENC_KEY": "YOUR_ENC_KEY",
    "PRIVATE_KEY": rsa_pem(),
    # Without token_uri: the token is asked for below base_url.
    "JSON_KEY": google_key(),
}


class LiveRuntime:
    """The runtime of one provider."""

    def __init__(self, settings: ProviderSettings, *, unix: float = NOW, environ: Mapping[str, str] = ENVIRON) -> None:
        self.clock = StandingClock(unix)
        self.offset = 0.0
        self.requests = 0
        self.kept: dict[str, Remembered] = {}
        self._environ = environ
        self._upstream = Upstream(settings, clock=self.clock)

    def upstream_now(self) -> datetime:
        return self.clock.instant().wall + timedelta(seconds=self.offset)

    def recall(self, key: str) -> Remembered | None:
        return self.kept.get(key)

    async def remember(self, key: str, document: JSON) -> None:
        self.kept[key] = Remembered(document, self.clock.instant())

    async def commit(self, key: str, change: Callable[[JSON], JSON]) -> JSON:
        kept = self.kept.get(key)
        await self.remember(key, new := change(None if kept is None else kept.document))
        return new

    async def reveal(self, source: SecretSource) -> Secret:
        return read_secret(source, self._environ)

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        self.requests += 1
        reply = await self._upstream.exchange(request)
        if reply.date is not None:
            self.offset = reply.offset
        return reply

    async def run_in_thread(self, call: Callable[[], T], *, seconds: float) -> T:
        return call()

    async def run_command(
        self, argv: Sequence[str], added: Mapping[str, Secret], *, seconds: float, output_limit: int
    ) -> EndedCommand:
        return run_clean(argv, added, seconds=seconds, output_limit=output_limit, environ=self._environ)


def attempt(
    make: Callable[[str], ProviderSettings],
    *script: Behaviour,
    previous: Token | None = None,
    parameters: Mapping[str, str] | None = None,
    runtime: Mapping[str, Any] | None = None,
) -> tuple[Token | AttemptError, Loopback]:
    """Make one attempt at a server that follows ``script``.

    Return the token or the error, and the server's requests.
    """

    async def main() -> tuple[Token | AttemptError, Loopback]:
        async with serving(*script) as loopback:
            settings: Any = make(loopback.url)
            live = LiveRuntime(settings, **(runtime or {}))
            try:
                if parameters is None:
                    return await settings.fetch(live, previous), loopback
                settings.check(parameters)
                return await settings.issue(live, parameters), loopback
            except AttemptError as error:
                return error, loopback

    return anyio.run(main)


def env(name: str) -> SecretSource:
    """Return a secret's place in `ENVIRON`."""
    return SecretSource(env=name)


def at(unix: float) -> Instant:
    """Return the instant a number of seconds after NOW, where the clock stands."""
    return StandingClock(NOW).instant().after(unix - NOW)


def succeeded(outcome: Token | AttemptError) -> Token:
    """Return the token of an attempt that has succeeded."""
    assert isinstance(outcome, Token), outcome
    return outcome


def failed(outcome: Token | AttemptError) -> AttemptError:
    """Return the error of an attempt that has failed. It quotes nothing that was planted."""
    assert isinstance(outcome, AttemptError), outcome
    assert "planted" not in str(outcome)
    return outcome
