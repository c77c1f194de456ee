"""Runtime of one provider or sink: its secrets, its upstream, and the upstream's clock."""

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tokend.machine.clock import Clock
from tokend.machine.command import CommandStop, EndedCommand
from tokend.machine.thread_pool import Threads
from tokend.plugin.clean_command import run_clean
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.secret_reading import COMMAND_SECONDS, of_token, read_secret
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import ProviderSettings, SinkSettings
from tokend.upstream.client import Upstream
from tokend.upstream.resolver import Resolver
from tokend.values.errors import SecretError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.url import host_of, is_confidential, is_metadata_server

if TYPE_CHECKING:
    from tokend.upstream.vault_reads import VaultReads

# A command has its own, shorter limit; a file on a disk that hangs is abandoned after this.
REVEAL_SECONDS = COMMAND_SECONDS + 5.0
# A command ends itself, and its group, at its own limit: only a thread that hangs is abandoned.
KILLED_SECONDS = 5.0

T = TypeVar("T")


def no_token(name: str) -> Secret | None:  # of the interface
    """Return None: outside an engine no provider has a token."""


class ProviderRuntime:
    """Implement `plugin.provider.Runtime` for the settings of one provider or one sink. Opens nothing before use.

    ``tokens`` returns the valid token of another provider, None if it has none now. ``vaults`` returns what reads the
    secrets of vaults, for all that share its connections; without it they are read alone. ``programs`` run programs,
    and ``calls`` what a kind calls: they may hang, and the secrets and the state, which use ``threads``, must not wait.
    """

    __slots__ = (
        "_calls",
        "_environ",
        "_keeping",
        "_programs",
        "_resolver",
        "_settings",
        "_threads",
        "_tokens",
        "_upstream",
        "_upstream_clock",
        "_vaults",
        "clock",
        "requests",
    )

    def __init__(
        self,
        settings: ProviderSettings | SinkSettings,
        *,
        clock: Clock,
        threads: Threads,
        programs: Threads | None = None,
        calls: Threads | None = None,
        resolver: Resolver | None = None,
        environ: Mapping[str, str] = os.environ,
        tokens: Callable[[str], Secret | None] = no_token,
        vaults: "Callable[[], VaultReads] | None" = None,
    ) -> None:
        self.clock = clock
        self._threads = threads
        self._programs = programs or threads
        self._calls = calls or threads
        self._environ = environ
        self._settings = settings
        self._resolver = resolver
        self._tokens = tokens
        self._vaults = vaults
        self._upstream: Upstream | None = None
        # The open block of `connected` before its first exchange.
        self._keeping: AsyncExitStack | None = None
        # What the upstream's clock showed, and when; None if it agreed with ours.
        self._upstream_clock: Instant | None = None
        self.requests = 0

    def upstream_now(self) -> datetime:
        """Return the present moment by the upstream's clock, in aware UTC."""
        now, seen = self.clock.instant(), self._upstream_clock
        # Boot time goes on from the reply: our own clock may have been set since.
        return now.wall if seen is None else seen.wall + timedelta(seconds=seen.until(now))

    async def reveal(self, source: SecretSource) -> Secret:
        """Read a secret now; in a thread what reads a file, runs a command or evaluates. Raises `SecretError`."""
        if source.token is not None:
            return of_token(source, self._tokens(source.token))
        if source.vault is not None:
            return await self._reveal_in_vault(source)
        if source.select is None and (source.env is not None or source.literal is not None):
            return read_secret(source, self._environ)
        threads = self._threads if source.keyring is None else self._calls
        try:
            return await threads.run(lambda: read_secret(source, self._environ), seconds=REVEAL_SECONDS)
        except TimeoutError as error:
            why = str(error) or f"it hangs, for {REVEAL_SECONDS:.0f} s"
            raise SecretError(f"{source} could not be read: {why}") from None

    async def _reveal_in_vault(self, source: SecretSource) -> Secret:
        if self._vaults is None:
            from tokend.upstream.vault_reads import VaultReads  # few configurations name a vault

            alone = VaultReads(clock=self.clock, threads=self._threads, resolver=self._resolver)
            self._vaults = lambda: alone
        return await self._vaults().read(source, self.reveal)

    async def run_in_thread(self, call: Callable[[], T], *, seconds: float) -> T:
        """Run a short blocking call in a thread."""
        return await self._calls.run(call, seconds=seconds)

    async def run_command(
        self, argv: Sequence[str], added: Mapping[str, Secret], *, seconds: float, output_limit: int
    ) -> EndedCommand:
        """Run a program in a thread of its own kind, with the clean environment and ``added``.

        It ends with the task that waits for it: a reload has removed its provider.
        """
        stop = CommandStop()
        call = partial(
            run_clean, argv, added, seconds=seconds, output_limit=output_limit, environ=self._environ, stop=stop
        )
        try:
            return await self._programs.run(call, seconds=seconds + KILLED_SECONDS)
        finally:
            stop.stop()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Keep the connection of the first exchange in the block for the others. A block without one opens nothing."""
        async with AsyncExitStack() as stack:
            self._keeping = stack
            try:
                yield
            finally:
                self._keeping = None

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        """Send one request; learn the upstream's clock from the reply."""
        if not is_confidential(request.url) and not is_metadata_server(request.url):
            raise ValueError(f"{host_of(request.url)}: a kind may send to https:// only, or to http:// on loopback")
        self.requests += 1
        if self._upstream is None:
            # Created late: a daemon that was restarted may hold thousands of tokens and refresh none for hours.
            self._upstream = Upstream(self._settings, clock=self.clock, resolver=self._resolver, threads=self._threads)
        if self._keeping is not None:
            stack, self._keeping = self._keeping, None
            await stack.enter_async_context(self._upstream.connected())
        reply = await self._upstream.exchange(request)
        if reply.date is not None:
            now = self.clock.instant()
            upstream = now.wall + timedelta(seconds=reply.offset)
            self._upstream_clock = None if reply.offset == 0 else Instant(upstream, now.boot)
        return reply
