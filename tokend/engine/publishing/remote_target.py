"""A target in a store: its delivery, its saved mark, its place at the host, and what the status shows of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

from tokend.engine.context.context import Context
from tokend.engine.context.host_backoff import HostAttempt
from tokend.engine.publishing.remote_delivery import RemoteDelivery
from tokend.engine.publishing.remote_drift import RemoteDrift
from tokend.engine.publishing.sink_runtime import WriteRuntime
from tokend.engine.publishing.target_lock import TargetLock
from tokend.engine.publishing.target_tokens import Leases
from tokend.engine.publishing.write_timing import WriteTiming
from tokend.engine.records.fingerprints import sink_fingerprint
from tokend.engine.records.marks import SavedMark
from tokend.machine.lock import Lock
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import bug_in, exits_refused
from tokend.plugin.remote_sink import RemoteSinkSettings
from tokend.plugin.settings import SinkSettings
from tokend.plugin.shown_text import shown
from tokend.plugin.sink import Mark, RemoteSink
from tokend.values.errors import SinkError
from tokend.values.status import SinkStatus
from tokend.values.tokens import unix, utc

log = get_logger()

LAST_WRITER_WINS = "last writer wins"


class RemoteTarget:
    """What a `Publisher` has for a remote sink only.

    ``key`` is the target's name among the marks of the token ``name``. ``conflict`` is the operator's sentence while
    another writer owns the target. ``announced`` and ``announced_at`` are those of `SavedMark`.
    """

    __slots__ = (
        "_context",
        "_label",
        "_lock",
        "_name",
        "_settings",
        "_sink",
        "_target",
        "_waiting",
        "announced",
        "announced_at",
        "conflict",
        "delivery",
        "drift",
        "key",
        "runtime",
        "timing",
    )

    def __init__(self, name: str, sink: RemoteSink, target: TargetLock, context: Context, *, label: str) -> None:
        self.delivery = RemoteDelivery(sink, save=self._save, is_held_back=lambda: self._held_back() is not None)
        self.key = _key_of(sink, context)
        self.drift = RemoteDrift(sink.drift_interval, context.random)
        least = 0.0 if sink.min_interval is None else sink.min_interval.total_seconds()
        self.timing = WriteTiming(gathers=bool(sink.other_tokens()), min_interval_seconds=least)
        self.conflict: str | None = None
        self.announced: str | None = None
        self.announced_at: int | None = None
        self._name = name
        self._label = label
        # Two attempts at a time, of the publisher and of a person, would mix their connections and their answers.
        self._lock = Lock()
        self._settings = sink_fingerprint(cast(RemoteSinkSettings, sink), context.store.state.digest)
        self._sink = sink
        self.runtime = WriteRuntime(cast(SinkSettings, sink), target, context, name)
        self._target = target
        self._waiting = False  # for the host's turn
        self._context = context
        self._remember(context.store.marks.get(name, self.key))

    @property
    def repairs(self) -> bool:
        """Whether a value that another writer has changed is written again."""
        return self._sink.drift == "repair"

    def shown_in(self, status: SinkStatus) -> SinkStatus:
        """Return the status with what is known of the store."""
        known, detail = self.delivery.known, self.pause() if self._waiting else None
        if status.error is None and detail is not None:
            status = replace(status, state="failing", error=shown(detail))
        remarks = (
            None if known is None else known.remark,
            None if self._sink.compares else LAST_WRITER_WINS,
            self._held_back(),
        )
        return replace(
            status,
            store_version=None if known is None else known.version,
            drift=self.drift.shown,
            remark="; ".join(one for one in remarks if one is not None) or None,
        )

    def _remember(self, saved: SavedMark | None) -> None:
        """Begin with the mark that an earlier process saved, if it was made with these settings."""
        if saved is None:
            return
        self.delivery.writes = self.runtime.writes = saved.writes
        self.announced, self.announced_at = saved.announced, saved.announced_at
        if saved.settings == self._settings:
            self.delivery.known, self.delivery.expires_at = saved.mark, saved.expires_at
            self.conflict = saved.conflict
        if saved.written_at is not None:
            now = self._context.clock.instant()
            self.timing.last_write = now.after(min(0.0, saved.written_at - now.wall.timestamp()))

    def holds_older(self) -> bool:
        """Return whether ``min_interval`` alone is why the target holds an older token than the newest."""
        known = self.delivery.known
        return known is not None and known.digest is not None and self._held_back() is not None

    def _held_back(self) -> str | None:
        now = self._context.clock.instant()
        if not self.timing.is_wanted or (seconds := self.timing.paused_seconds(now)) <= 0:
            return None
        return f"min_interval: a newer token is written at {utc(now.after(seconds).wall)}"

    async def _save(self) -> None:
        known = self.delivery.known
        if self.runtime.writes != self.delivery.writes:
            self.runtime.writes = self.delivery.writes
            if known is not None and known.digest is None:
                self.timing.removed()
            else:
                self.timing.written(self._context.clock.instant())
        mark = SavedMark(
            settings=self._settings,
            known=known is not None,
            digest=None if known is None else known.digest,
            version=None if known is None else known.version,
            remark=None if known is None else known.remark,
            expires_at=self.delivery.expires_at,
            written_at=None if self.timing.last_write is None else unix(self.timing.last_write.wall),
            writes=self.delivery.writes,
            conflict=self.conflict,
            announced=self.announced,
            announced_at=self.announced_at,
        )
        await self._context.store.marks.put(self._name, self.key, mark)

    def owes_announcement(self) -> bool:
        """Return whether the target holds values that no announcement has covered."""
        digest = None if self.delivery.known is None else self.delivery.known.digest
        return digest is not None and digest != self.announced

    async def announced_now(self, at: int | None, digest: str | None) -> None:
        """Remember, also after a restart, when the last announcement was sent, and what it covered."""
        self.announced, self.announced_at = digest, at
        await self._save()

    async def conflicts(self, detail: str) -> None:
        """Remember, also after a restart, that another writer owns the target."""
        self.conflict = shown(detail)
        await self._save()

    def sync(self, *, take_over: bool) -> None:
        """Forget what is known of the target: the store is asked first."""
        self.delivery.known = self.delivery.expires_at = None
        self.timing.at_once()
        if take_over:
            self.conflict = None
            self.drift.decided()

    def try_now(self) -> None:
        """End the pause of the host, unless the store asked for it."""
        self._context.hosts.try_now(self._sink.upstream)

    def pause(self) -> str | None:
        """Return the operator's sentence while nothing is sent to the host, else None."""
        host = self._sink.upstream
        if (pause := self._context.hosts.pause(host)) is None:
            return None
        why = "it asked for a pause" if pause.asked else "it could not be used"
        return f"{self._sink.target}: nothing is sent to {host} until {utc(pause.until.wall)}: {why}"

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[HostAttempt]:
        """Wait for the host's turn, and have the host learn from what is done in the block, on one connection.

        One attempt is made at a time.
        """
        async with self._lock:
            self._waiting = True
            try:
                async with self._context.hosts.attempt(self._sink.upstream) as attempt, self.runtime.connected():
                    self._waiting = False
                    self.runtime.answered = self.delivery.answered = False
                    yield attempt
                    attempt.answered = self.runtime.answered or self.delivery.answered
            finally:
                self._waiting = False

    async def inspect(self, leases: Leases | None) -> None:
        """Ask the store what it holds, for ``drift``. ``leases`` are what it must hold; None for nothing."""
        if (detail := self.pause()) is not None:
            self.drift.looked(self._unknown(detail))
            return
        lease, others = leases or (None, {})
        async with self.attempt() as attempt, self._target.lock:
            try:
                with exits_refused():
                    word, found = await self.delivery.look(self.runtime, lease, others)
            except SinkError as error:
                attempt.failed(error)
                word, found = self._unknown(error.detail), None
            except Exception:
                log.exception("sink.inspect_failed", token=self._name, target=shown(self._sink.target))
                word, found = f"unknown: {bug_in(self._sink)}", None
        self._looked(word, found)

    def _looked(self, word: str, found: Mark | None) -> None:
        if self.drift.looked(word, found):
            self._context.counters.drifted(self._name, self._label)

    def _unknown(self, detail: str) -> str:
        return f"unknown: {shown(detail.removeprefix(f'{self._sink.target}: '))}"


def _key_of(sink: RemoteSink, context: Context) -> str:
    """Return a name for the part of the target that the sink writes: the target's own where it writes one part only."""
    settings = cast(RemoteSinkSettings, sink)
    parts, target = sorted(settings.exclusive_targets()), shown(sink.target)
    if hidden := settings.hidden_part:
        parts.append(hidden)
    elif len(parts) == 1 and target == sink.target:
        return target
    # (A name that looks like a secret is not shown, so that the text alone may be that of another target.)
    return f"{target}#{context.store.state.digest(repr(parts).encode())[:12]}"
