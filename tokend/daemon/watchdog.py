"""Keep-alive messages to systemd's watchdog, while the loop and every refresher make progress."""

from collections.abc import Callable, Iterable

from tokend.engine.tasks.heartbeat import HeartbeatCheck, Monitored
from tokend.machine.clock import Clock
from tokend.machine.logs import get_logger
from tokend.service_manager.notify import Notifier

log = get_logger()


class Watchdog:
    """Feed the watchdog from a task of the loop: a blocked loop feeds nothing.

    ``refreshers`` is called at each check, and returns the refreshers that run then.
    """

    def __init__(
        self, notifier: Notifier, *, seconds: float, clock: Clock, refreshers: Callable[[], Iterable[Monitored]]
    ) -> None:
        self._notifier = notifier
        self._seconds = seconds
        self._clock = clock
        self._refreshers = refreshers
        self._progress = HeartbeatCheck()
        self._hung: list[str] = []

    async def feed(self) -> None:
        """Check every ``seconds``, and feed unless a refresher hangs. Runs until cancelled.

        systemd kills a daemon that is not fed and starts it again. That ends the hang and costs no login, because the
        tokens are in the state.
        """
        while True:
            hung = self._progress.look(self._refreshers(), boot=self._clock.instant().boot, seconds=self._seconds)
            if hung != self._hung:
                self._report(hung)
                self._hung = hung
            if not hung:
                self._notifier.alive()
            await self._clock.sleep(self._seconds)

    @staticmethod
    def _report(hung: list[str]) -> None:
        if hung:
            log.error("watchdog.starved", detail=f"no progress: {', '.join(hung)}; systemd will restart tokend")
        else:
            log.warning("watchdog.fed", detail="all refreshers make progress again")
