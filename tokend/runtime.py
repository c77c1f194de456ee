"""What a provider may use during an attempt, for real: secrets, the upstream, and the upstream's clock."""

import os
from collections.abc import Mapping
from datetime import datetime, timedelta

from tokend.clock import Clock
from tokend.errors import SecretError
from tokend.http.client import Upstream
from tokend.http.exchange import Reply, Request
from tokend.interfaces import Threads
from tokend.secret import Secret
from tokend.settings import ProviderSettings
from tokend.sources import COMMAND_SECONDS, SecretSource, read_secret

# A command has its own limit; a file that hangs is given up a little later.
REVEAL_SECONDS = COMMAND_SECONDS + 5.0


class ProviderRuntime:
    """Implement `interfaces.Runtime` for one provider's settings. Nothing is opened before it is needed."""

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        clock: Clock,
        threads: Threads,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.clock = clock
        self._threads = threads
        self._environ = environ
        self._upstream = Upstream(settings, clock=clock)
        self._offset = 0.0

    def upstream_now(self) -> datetime:
        """Aware UTC as the upstream sees it."""
        return self.clock.instant().wall + timedelta(seconds=self._offset)

    async def reveal(self, source: SecretSource) -> Secret:
        """Read a secret now; files and commands in a thread. Raises `SecretError`."""
        if source.file is None and source.command is None and source.credential is None:
            return read_secret(source, self._environ)
        try:
            return await self._threads.run(lambda: read_secret(source, self._environ), seconds=REVEAL_SECONDS)
        except TimeoutError:
            raise SecretError(f"{source} could not be read within {REVEAL_SECONDS:.0f} s") from None

    async def exchange(self, request: Request) -> Reply:
        """Send one request; learn the upstream's clock from the reply."""
        reply = await self._upstream.exchange(request)
        if reply.date is not None:
            self._offset = reply.offset
        return reply

    async def aclose(self) -> None:
        """Close the upstream's connections."""
        await self._upstream.aclose()
