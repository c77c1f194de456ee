"""Feed systemd's watchdog, but only while the loop and every refresher make progress."""

from collections.abc import Callable, Iterable

from tokend.engine.tasks.heartbeat import HeartbeatCheck, Monitored
from tokend.machine.clock import Clock
from tokend.machine.logs import get_logger
from tokend.service_manager.notify import Notifier

log = get_logger()


class Watchdog:
    """A task of the loop: a blocked loop feeds nobody. ``living`` tells who has to move, at each look anew."""

    def __init__(
        self, notifier: Notifier, *, seconds: float, clock: Clock, living: Callable[[], Iterable[Monitored]]
    ) -> None:
        self._notifier = notifier
        self._seconds = seconds
        self._clock = clock
        self._living = living
        self._progress = HeartbeatCheck()
        self._hung: list[str] = []

    async def feed(self) -> None:
        """Look every ``seconds``, and feed unless somebody has hung; runs until cancelled.

        A daemon that is starved is killed and started anew, which is what helps one that has hung: its tokens are in
        the state, so it costs no login.
        """
        while True:
            hung = self._progress.look(self._living(), boot=self._clock.instant().boot, seconds=self._seconds)
            if hung != self._hung:
                self._tell(hung)
                self._hung = hung
            if not hung:
                self._notifier.alive()
            await self._clock.sleep(self._seconds)

    @staticmethod
    def _tell(hung: list[str]) -> None:
        if hung:
            log.error("watchdog.starved", detail=f"no progress: {', '.join(hung)}; systemd is to start us anew")
        else:
            log.warning("watchdog.fed", detail="everybody moves again")
