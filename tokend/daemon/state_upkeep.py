"""Upkeep of a sealed state while the daemon runs: files get the form of now, and the index follows the records."""

from tokend.engine.records.store import TokenStore
from tokend.machine.clock import Clock
from tokend.machine.logs import get_logger
from tokend.machine.thread_pool import Threads
from tokend.state.sealed import SealedState
from tokend.values.errors import StoreError

# Limit of one write of the index.
INDEX_SECONDS = 10.0
# Nothing reports that a full disk has space again.
AGAIN_SECONDS = 10.0

log = get_logger()


class StateUpkeep:
    """Seal what is not sealed with the present key, one file after another; then write the index where it is due."""

    def __init__(self, store: TokenStore, state: SealedState, *, clock: Clock, threads: Threads) -> None:
        self._store = store
        self._state = state
        self._clock = clock
        self._threads = threads

    async def keep(self) -> None:
        """Run until cancelled. Begin after the start: a thousand records take a few seconds."""
        await self._rewrite()
        while True:
            saved = self._store.next_save()
            if (seconds := self._state.index_seconds()) is None:
                await self._clock.wait(None, saved)
                continue
            await self._clock.sleep(seconds)
            if not await self._save_index():
                await self._clock.sleep(AGAIN_SECONDS)

    async def _rewrite(self) -> None:
        """Write each file again that has not the form of now: a first, a new or no key."""
        outdated, marks = sorted(self._state.outdated), sorted(self._state.outdated_marks)
        for name in outdated:
            if name in self._state.outdated:  # not saved meanwhile
                await self._store.rewrite(name)
        for name in marks:
            if name in self._state.outdated_marks:
                await self._store.marks.rewrite(name)
        if outdated or marks:
            form = "sealed with state_key" if self._state.is_sealed else "in clear"
            log.info("state.rewritten", records=len(outdated), marks=len(marks), detail=f"they are {form} now")

    async def _save_index(self) -> bool:
        try:
            await self._threads.run(self._state.save_index, seconds=INDEX_SECONDS)
        except (TimeoutError, StoreError) as error:
            log.warning("state.write_failed", path="index", detail=str(error) or "the disk hangs")
            return False
        return True
