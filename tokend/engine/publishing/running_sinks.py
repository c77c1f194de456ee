"""Running sinks of one provider: a publisher and a task for each."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import cast

import anyio

from tokend.engine.context.context import Context
from tokend.engine.publishing.drift_watch import DriftWatch
from tokend.engine.publishing.publisher import Publisher
from tokend.engine.publishing.remote_publisher import RemotePublisher
from tokend.engine.publishing.socket_publisher import SocketPublisher
from tokend.engine.publishing.target_lock import TargetLock
from tokend.engine.tasks.worker_group import WorkerGroup
from tokend.plugin.settings import SinkSettings
from tokend.plugin.sink import ListeningSink
from tokend.values.errors import NotSupportedError
from tokend.values.status import SinkStatus
from tokend.values.tokens import Lease

# A store may take its ``timeout``, 30 s by default; clients wait a little longer.
SYNC_SECONDS = 31.0


class RunningSinks:
    """The running sinks of the token ``name``. Implements `contract.SinkReport`.

    ``locks`` has the locks of all targets of the daemon. ``removes`` returns, for a token's name, whether sinks must
    remove the token at its end. ``outdated`` is called with the generation of a newer token of this name that a target
    holds. ``watch`` looks at the targets that other programs can change.
    """

    __slots__ = ("_context", "_locks", "_name", "_outdated", "_publishers", "_removes", "_watch", "_workers")

    def __init__(
        self,
        name: str,
        context: Context,
        workers: WorkerGroup,
        *,
        locks: dict[str, TargetLock],
        removes: Callable[[str], bool],
        outdated: Callable[[int], Awaitable[None]],
        watch: DriftWatch,
    ) -> None:
        self._name = name
        self._context = context
        self._workers = workers
        self._locks = locks
        self._removes = removes
        self._outdated = outdated
        self._watch = watch
        # In the order of the configuration.
        self._publishers: dict[Publisher | SocketPublisher, tuple[anyio.CancelScope, ...]] = {}

    def match(self, sinks: Sequence[SinkSettings]) -> None:
        """Start and stop publishers so that they match ``sinks``. Publishers of unchanged sinks keep running."""
        self._match(sinks)
        targets = {one.remote.key for one in self._publishers if isinstance(one, RemotePublisher)}
        self._context.store.marks.keep(self._name, targets)

    def _match(self, sinks: Sequence[SinkSettings]) -> None:
        before, self._publishers = self._publishers, {}
        for index, sink in enumerate(sinks, start=1):
            label = f"{sink.kind}-{index}"
            wanted: tuple[str, object] = (label, sink)
            publisher = next((one for one in before if (one.label, one.sink) == wanted), None)
            if publisher is None:
                publisher = self._make(sink, label)
                self._publishers[publisher] = self._start(publisher)
            else:
                self._publishers[publisher] = before.pop(publisher)
        for publisher, scopes in before.items():
            for scope in scopes:
                scope.cancel()
            self._context.warnings.put(self._name, publisher.label, ())
            if publisher.drift is not None:
                self._watch.discard(publisher.drift)

    def secrets_changed(self, paths: set[Path]) -> None:
        """Let each sink that reads a secret from one of ``paths`` try again at once."""
        for publisher in self._publishers:
            publisher.secrets_changed(paths)

    def token_changed(self, name: str) -> None:
        """Let each sink that fails, and whose secret is the token ``name``, try again at once."""
        for publisher in self._publishers:
            publisher.token_changed(name)

    def try_now(self) -> None:
        """Let each sink that fails, or whose target others have changed, write again at once: a person asked for it."""
        for publisher in self._publishers:
            publisher.try_now()

    async def sync(self, label: str | None, *, take_over: bool) -> None:
        """Write to the sink ``label`` now, or to all: see `Publisher.sync`. Returns when they have tried.

        Waits for `SYNC_SECONDS` at most. Raises `NotSupportedError` for no sink.
        """
        chosen = [publisher for publisher in self._publishers if label is None or publisher.label == label]
        if label is not None and not chosen:
            labels = ", ".join(publisher.label for publisher in self._publishers)
            raise NotSupportedError(f"{self._name} has no sink {label}" + (f"; it has {labels}" if labels else ""))
        for publisher in chosen:
            publisher.sync(take_over=take_over)
        clock = self._context.clock
        ends = clock.instant().after(SYNC_SECONDS)
        while clock.instant().until(ends) > 0:
            event = self._context.store.changed(self._name)
            if not any(publisher.is_writing() for publisher in chosen):
                return
            await clock.wait(ends, event)

    async def inspect(self) -> tuple[SinkStatus, ...]:
        """Ask every sink now what its target holds. Returns the statuses, with ``drift``, within `SYNC_SECONDS`."""
        with anyio.move_on_after(SYNC_SECONDS):
            async with anyio.create_task_group() as tasks:
                for publisher in self._publishers:
                    if isinstance(publisher, Publisher):
                        tasks.start_soon(publisher.inspect)
                    if publisher.drift is not None:
                        tasks.start_soon(self._watch.inspect, publisher.drift)
        return self.statuses()

    def stop(self) -> None:
        """Stop all publishers. The targets stay unchanged, and what is known of them."""
        self._match(())

    def statuses(self) -> tuple[SinkStatus, ...]:
        """Return the status of each sink, in the order of the configuration."""
        return tuple(publisher.status for publisher in self._publishers)

    def hold(self, lease: Lease | None) -> bool:
        """Return whether every required sink holds this lease. False for None, if a sink is required."""
        return all(publisher.holds(lease) for publisher in self._publishers if publisher.sink.required)

    def need_a_person(self) -> bool:
        """Return whether a required store takes nothing until a person acts."""
        stores = [one for one in self._publishers if isinstance(one, RemotePublisher) and one.sink.required]
        return any(one.needs_a_person() for one in stores)

    def owe_announcement(self) -> bool:
        """Return whether a sink has written and not yet announced the change."""
        return any(publisher.owes_announcement() for publisher in self._publishers)

    def _start(self, publisher: Publisher | SocketPublisher) -> tuple[anyio.CancelScope, ...]:
        bodies = [publisher.run]
        if isinstance(publisher, Publisher) and publisher.announcer is not None:
            bodies.append(publisher.announcer.run)
        return tuple(self._workers.start(self._name, body) for body in bodies)

    def _make(self, sink: SinkSettings, label: str) -> Publisher | SocketPublisher:
        lock = self._locks.setdefault(sink.target, TargetLock())
        if sink.family == "served":
            served = cast(ListeningSink, sink)  # `plugin.kind_check` has checked the interface of the family
            return SocketPublisher(self._name, served, label=label, target=lock, context=self._context)
        kind = RemotePublisher if sink.family == "remote" else Publisher
        publisher = kind(
            self._name,
            sink,
            label=label,
            removes=self._removes,
            outdated=self._outdated,
            target=lock,
            context=self._context,
        )
        if publisher.drift is not None:
            self._watch.add(publisher.drift)
        return publisher
