"""Reading of secrets from Vault and OpenBao, for all providers or sinks of one daemon. Keeps no secret.

Each use of a secret is one request. A pause that a vault asks for holds for all that is sent to its host.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol
from urllib.parse import quote

import anyio

from tokend.machine.clock import Clock
from tokend.machine.thread_pool import Threads
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.response_status import RATE_LIMITED, SHORTEST_PAUSE_SECONDS, retry_after
from tokend.plugin.secret_reading import of_content
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.vault_answers import LOOKUP, content_of
from tokend.plugin.vault_settings import VaultSettings
from tokend.upstream.client import Upstream
from tokend.upstream.resolver import Resolver
from tokend.values.errors import SecretError, TransientError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.url import host_of

# Of one request, and of the evaluation of its answer.
VAULT_SECONDS = 10.0
DEFAULT_MOUNT = "secret"


class Pauses(Protocol):
    """The pauses that hosts asked for."""

    def seconds(self, host: str | None, now: Instant) -> float:
        """Compute the seconds during which nothing may be sent to ``host``, 0.0 if none."""

    def block(self, host: str | None, until: Instant, *, by: str | None = None) -> None:
        """Send nothing to ``host`` before ``until``."""


def unheard(name: str, token: Secret) -> None:
    """Do nothing: outside an engine no provider gets a newer token."""


class VaultReads:
    """The connections to the vaults of a configuration. Opens nothing before the first read.

    ``refused`` is called, and must not wait, where a vault does not know (any more) the token of another provider.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        threads: Threads,
        resolver: Resolver | None = None,
        pauses: Pauses | None = None,
        refused: Callable[[str, Secret], None] = unheard,
        seconds: float = VAULT_SECONDS,
    ) -> None:
        self._clock = clock
        self._threads = threads
        self._resolver = resolver
        self._pauses = pauses
        self._refused = refused
        self._seconds = seconds
        # By name: a reload that changes a vault's table replaces its connections.
        self._upstreams: dict[str, tuple[VaultSettings, Upstream]] = {}

    async def read(self, source: SecretSource, reveal: Callable[[SecretSource], Awaitable[Secret]]) -> Secret:
        """Read a secret now; ``reveal`` reads the vault's credential.

        Raises `SecretError`, which names the place, never a content; `WaitingError` while the credential is another
        provider's token that is not valid.
        """
        named = source.vault
        settings = None if named is None else named.settings
        if named is None or settings is None:
            raise SecretError(f"{source}: there is no table of this vault")
        upstream, host = self._upstream(named.name, settings), host_of(settings.address)
        token = await self._credential(source, settings, reveal)
        reply = await self._ask(source, settings, upstream, _path(source, settings), token)
        if reply.status == 403:
            await self._refuse(source, settings, upstream, token)
        try:
            return await self._threads.run(
                partial(_secret_of, source, reply, settings.kv_version), seconds=VAULT_SECONDS
            )
        except TimeoutError as error:
            raise SecretError(f"{source}: the answer of {host} could not be read: {error}") from None

    def _upstream(self, name: str, settings: VaultSettings) -> Upstream:
        known = self._upstreams.get(name)
        if known is None or (known[0] is not settings and known[0] != settings):
            upstream = Upstream(settings, clock=self._clock, resolver=self._resolver, threads=self._threads)
            known = self._upstreams[name] = (settings, upstream)
        return known[1]

    async def _credential(
        self, source: SecretSource, settings: VaultSettings, reveal: Callable[[SecretSource], Awaitable[Secret]]
    ) -> Secret | None:
        if settings.auth is None:
            return None
        try:
            return await reveal(settings.auth)
        except SecretError as error:
            if type(error) is not SecretError:
                raise  # another class has another meaning
            raise SecretError(f"{source}: auth: {error.detail}") from None

    async def _ask(
        self, source: SecretSource, settings: VaultSettings, upstream: Upstream, path: str, token: Secret | None
    ) -> UpstreamReply:
        """Send one request, unless the host wants a pause. Raises `SecretError`."""
        host, now = host_of(settings.address), self._clock.instant()
        if self._pauses is not None and (left := self._pauses.seconds(host, now)) > 0:
            raise SecretError(f"{source}: {host} wants a pause: nothing is sent for another {left:.0f} s")
        headers: dict[str, str | Secret] = {"X-Vault-Request": "true"}
        if settings.namespace is not None:
            headers["X-Vault-Namespace"] = settings.namespace
        if token is not None:
            headers["X-Vault-Token"] = token
        try:
            with anyio.fail_after(self._seconds):
                reply = await upstream.exchange(UpstreamRequest("GET", f"{settings.address}/v1/{path}", headers))
        except TransientError as error:
            raise SecretError(f"{source}: {error.detail}") from None
        except TimeoutError:
            raise SecretError(f"{source}: {host} did not answer completely within {self._seconds:g} s") from None
        self._note_pause(host, reply)
        return reply

    def _note_pause(self, host: str, reply: UpstreamReply) -> None:
        asked = retry_after(reply) if reply.status in {RATE_LIMITED, 503} else None
        if reply.status == RATE_LIMITED:
            asked = asked or SHORTEST_PAUSE_SECONDS
        if asked is not None and self._pauses is not None:
            self._pauses.block(host, self._clock.instant().after(asked))

    async def _refuse(
        self, source: SecretSource, settings: VaultSettings, upstream: Upstream, token: Secret | None
    ) -> None:
        """Raise the error for a 403: the server answers so for an ended credential and for a missing right."""
        if token is None:
            raise SecretError(f"{source}: the server answered 403, and the vault's table has no auth")
        known = await self._ask(source, settings, upstream, LOOKUP, token)
        if known.status in {401, 403}:
            if settings.auth is not None and settings.auth.token is not None:
                self._refused(settings.auth.token, token)
            raise SecretError(
                f"{source}: the server answered 403: the credential has expired, was revoked, or is unknown there"
            )
        raise SecretError(
            f"{source}: the server answered 403: the policy lacks the capability read on {_place(source, settings)}"
        )


def _secret_of(source: SecretSource, reply: UpstreamReply, kv_version: int) -> Secret:
    return of_content(source, content_of(source, reply, kv_version))


def _place(source: SecretSource, settings: VaultSettings) -> str:
    part = "data/" if settings.kv_version == 2 else ""
    return f"{source.mount or DEFAULT_MOUNT}/{part}{source.path}"


def _path(source: SecretSource, settings: VaultSettings) -> str:
    return quote(_place(source, settings))
