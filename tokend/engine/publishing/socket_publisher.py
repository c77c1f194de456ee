"""One sink that is asked instead of written to: have it served, and again after a failure."""

from tokend.engine.context.context import Context
from tokend.engine.publishing.sink_health import BUG, SinkHealth, TargetLock
from tokend.machine.event import Event
from tokend.machine.logs import get_logger
from tokend.plugin.sink import ListeningSink
from tokend.values.errors import SinkError
from tokend.values.status import SinkStatus
from tokend.values.tokens import Lease

log = get_logger()


class SocketPublisher:
    """Keep one sink's clients served. `run` is its task; a client always gets what is newest when it asks."""

    def __init__(self, name: str, sink: ListeningSink, *, label: str, turn: TargetLock, context: Context) -> None:
        self.sink = sink
        self.label = label
        self._name = name
        self._turn = turn
        self._clock = context.clock
        self._counters = context.counters
        self._serve = context.serve
        self._standing = SinkHealth(name, sink, label=label, context=context)
        self._listening = False

    @property
    def status(self) -> SinkStatus:
        """How the sink stands."""
        return self._standing.status

    def holds(self, lease: Lease | None) -> bool:
        """Tell whether a client would be given this very lease."""
        return self._listening and lease is not None

    def owes_announcement(self) -> bool:
        """Nobody is told: there is no change that could be missed."""
        return False

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            # The path's former sink (changed, renamed, of another place in the list) may still be taking its leave.
            async with self._turn.lock:
                await self._listen()
            await self._clock.wait(self._standing.retry_at(self._clock.instant()), Event())

    async def _listen(self) -> None:
        try:
            await self._serve(self._name, self.sink, self._begun)
        except SinkError as error:
            self._standing.failed(error.detail)
        except Exception:
            # The supervisor logs it and starts this worker anew; status must not say that all is well.
            self._standing.failed(BUG)
            raise
        finally:
            self._listening = False

    def _begun(self) -> None:
        self._listening = True
        self._counters.wrote(self._name, self.label, "success")
        self._standing.succeeded()
        log.info("sink.listening", token=self._name, sink=self.label, path=self.sink.target)
