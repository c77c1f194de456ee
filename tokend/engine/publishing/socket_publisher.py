"""Publishing task of one served sink: serve the sink, and serve it again after a failure."""

from pathlib import Path
from typing import ClassVar

from tokend.engine.context.context import Context
from tokend.engine.publishing.sink_health import SinkHealth
from tokend.engine.publishing.target_lock import TargetLock
from tokend.machine.event import Event
from tokend.machine.logs import get_logger
from tokend.plugin.sink import ListeningSink
from tokend.values.errors import SinkError
from tokend.values.status import SinkStatus
from tokend.values.tokens import Lease

log = get_logger()


class SocketPublisher:
    """The task that serves one sink; see `run`. A client gets the newest token at the time of its connection."""

    drift: ClassVar[None] = None  # its server watches the path itself

    def __init__(self, name: str, sink: ListeningSink, *, label: str, target: TargetLock, context: Context) -> None:
        self.sink = sink
        self.label = label
        self._name = name
        self._target = target
        self._clock = context.clock
        self._counters = context.counters
        self._serve = context.serve
        self._health = SinkHealth(name, sink, label=label, context=context)
        self._listening = False
        self._wake = Event()

    @property
    def status(self) -> SinkStatus:
        """The sink's status row."""
        return self._health.status

    def holds(self, lease: Lease | None) -> bool:
        """Return whether a client would get this lease: the sink is listening, and ``lease`` is not None."""
        return self._listening and lease is not None

    def secrets_changed(self, paths: set[Path]) -> None:
        """Do nothing: a served sink reads no secret."""

    def token_changed(self, name: str) -> None:
        """Do nothing: a served sink reads no secret."""

    def try_now(self) -> None:
        """End the pause after a failure: a person asked for it."""
        self._health.try_now()
        self._wake.set()

    def sync(self, *, take_over: bool) -> None:  # noqa: ARG002  # as `Publisher.sync`
        """End the pause after a failure: clients read the current token anyway."""
        self.try_now()

    def is_writing(self) -> bool:
        """Return False: nothing is written."""
        return False

    def owes_announcement(self) -> bool:
        """Return False: a client reads the current token, so there is no change to announce."""
        return False

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            # An earlier sink on the same path (before a change, a rename or a new order) may not have ended yet.
            async with self._target.lock:
                await self._listen()
            self._wake = Event()
            await self._clock.wait(self._health.retry_at(self._clock.instant()), self._wake)

    async def _listen(self) -> None:
        try:
            await self._serve(self._name, self.sink, self._on_listening)
        except SinkError as error:
            self._health.failed(error)
        except Exception:
            # The supervisor logs the bug and starts this task again. Until then the status must show the failure.
            self._health.crashed()
            raise
        finally:
            self._listening = False

    def _on_listening(self) -> None:
        if self._listening:
            self._counters.repaired(self._name, self.label)
            self._health.succeeded()
            log.info("sink.repaired", **self._health.log_fields, detail="it was removed or changed")
            return
        self._listening = True
        self._counters.wrote(self._name, self.label, "success")
        self._health.succeeded()
        log.info("sink.listening", **self._health.log_fields)
