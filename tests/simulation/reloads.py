"""Persons who edit the configuration and its secrets, and what an edit excuses."""

from typing import Any

import anyio

from tests.simulation.kinds import Spec
from tests.simulation.process import Process
from tests.simulation.world import LEADS, World

# What decides whose token it is, and what decides what is asked.
ACCOUNT, REQUEST = ("kind", "host", "user"), ("kind", "host", "user", "secret")


class Reloads:
    """Edit, and reload. P7: what was not edited notices nothing."""

    def __init__(self, world: World) -> None:
        self._context = world
        self._draw = world.draw
        self._before = {mark: (name, world.specs[mark]) for mark, name in world.names.items()}

    async def edit(self, process: Process) -> None:
        """One to three edits, then one reload."""
        for _ in range(self._draw.choice([1, 1, 1, 2, 3])):
            edits = [
                self._add,
                self._remove,
                self._rename,
                self._lead,
                self._account,
                self._way,
                self._files,
                self._kind,
            ]
            self._draw.choice(edits)()
        await self._apply(process)

    async def _apply(self, process: Process) -> None:
        world, before = self._context, process.supervisor.entries
        old, entries = dict(world.config), dict(before)
        config = world.rebuild()
        for mark, name in world.names.items():
            # Under another name and with other settings it is another provider.
            before_that = self._before.get(mark)
            if before_that is not None and before_that != (name, world.specs[mark]) and before_that[0] != name:
                settings = (old.get(before_that[0]) or world.config[name]).settings
                if settings != world.config[name].settings or before_that[0] not in entries:
                    world.watch.forget(mark)
                elif (heir := world.config.get(before_that[0])) is not None:
                    # Where another of the same account has the name now, who has kept the token is a matter of words.
                    accounts = [world.specs[one].account(world.secrets) for one in (mark, self._mark(heir))]
                    if accounts[0] == accounts[1]:
                        world.watch.forget(mark)
            self._before[mark] = (name, world.specs[mark])
        for name, wanted in world.config.items():
            if old.get(name) != wanted:
                world.watch.seen[self._mark(wanted)].changed_at = world.machine.elapsed
        for name in sorted({*old, *world.config}):
            if old.get(name) != world.config.get(name):
                marks = [None if one is None else self._mark(one) for one in (old.get(name), world.config.get(name))]
                world.trace.add(f"{name}: {marks[0]} becomes {marks[1]}")
        untouched = [name for name, wanted in world.config.items() if old.get(name) == wanted]
        # As `Reloader` does it: half a configuration must not be in force.
        with anyio.CancelScope(shield=True):
            await process.supervisor.apply(config)  # type: ignore[arg-type]  # as much of a Config as the supervisor reads
        if not process.dead:
            for name in untouched:
                same = process.supervisor.entries.get(name) is entries[name]
                world.watch.hold(same, name, "a reload touched what was not edited")
            for name, wanted in world.config.items():
                if old.get(name) != wanted:
                    world.watch.seen[self._mark(wanted)].changed_at = world.machine.elapsed

    def _mark(self, config: Any) -> str:
        mark = str(config.settings.headers["X-Spec"])
        self._context.watch.ledger(mark)
        return mark

    # ------------------------------------------------------------ edits

    def _add(self) -> None:
        if len(self._context.names) < 5:
            self._new(self._context.add())

    def _remove(self) -> None:
        """It is taken out; perhaps it comes back another day."""
        world = self._context
        gone = [mark for mark in world.specs if mark not in world.names]
        if gone and self._draw.random() < 0.6 and len(world.names) < 5:
            mark = self._draw.choice(gone)
            name = f"p{mark[1:]}" if self._draw.random() < 0.5 else f"q{len(world.specs)}{mark}"
            if name not in world.names.values():
                world.names[mark] = name
                self._request(mark, new_credentials=True)
                world.watch.seen[mark].may_lose = True
        elif len(world.names) > 1:
            del world.names[self._draw.choice(sorted(world.names))]

    def _rename(self) -> None:
        mark = self._draw.choice(sorted(self._context.names))
        name = self._draw.choice(["a", "b", "c", f"p{mark[1:]}"])
        if name not in self._context.names.values():
            self._context.names[mark] = name
            self._request(mark)

    def _lead(self) -> None:
        mark = self._some()
        self._change(mark, lead=self._draw.choice(LEADS), removes=self._draw.random() < 0.3)

    def _way(self) -> None:
        self._change(self._some(), proxy=self._draw.choice([None, "http://127.0.0.1:3128"]))

    def _files(self) -> None:
        mark = self._some()
        if self._context.specs[mark].kind != "auth-token":
            count = self._draw.choice([0, 1, 2])
            self._change(mark, files=tuple(f"{mark}-{self._draw.randrange(4)}" for _ in range(count))[:1])

    def _account(self) -> None:
        mark = self._some()
        spec = self._context.specs[mark]
        if spec.kind == "jwt":
            self._change(mark, life=float(max(2, int(spec.life * self._draw.uniform(0.5, 1.5)))))
        else:
            self._change(mark, user=f"{spec.kind}-{self._draw.randrange(6)}-{mark}")

    def _kind(self) -> None:
        """Another kind under the same name: another provider."""
        old = self._some()
        name = self._context.names.pop(old)
        self._new(self._context.add(name))

    def _new(self, mark: str) -> None:
        """What is stored under its name may be another's."""
        self._request(mark, new_credentials=True)
        self._context.watch.seen[mark].may_lose = True

    def _change(self, mark: str, **changes: Any) -> None:
        world, old = self._context, self._context.specs[mark]
        new: Spec = old.but(**changes)
        if new == old:
            return
        world.specs[mark] = new
        world.accept(new)
        another = any(getattr(old, key) != getattr(new, key) for key in (*REQUEST, "life"))
        self._request(mark, new_credentials=another, other_way=another or old.proxy != new.proxy)
        if any(getattr(old, key) != getattr(new, key) for key in ACCOUNT) or (new.kind == "jwt" and another):
            world.watch.seen[mark].may_lose = True

    def _request(self, mark: str, *, new_credentials: bool = False, other_way: bool = False) -> None:
        now = self._context.machine.elapsed
        self._context.watch.ledger(mark).requested(now, new_credentials=new_credentials, other_way=other_way)

    def _some(self) -> str:
        return str(self._draw.choice(sorted(self._context.names)))

    # ------------------------------------------------------------ secrets

    async def rotate(self, process: Process, mark: str, *, accepted: bool) -> None:
        """A secret file gets other content, which the upstream knows or not."""
        world, spec = self._context, self._context.specs[mark]
        world.secrets[spec.secret] = f"fake-secret-{mark}-{world.draw.randrange(10**6)}"
        if accepted:
            world.accept(spec)
        self._tell(process, spec)

    async def hide_secret(self, process: Process, mark: str) -> None:
        """The file cannot be read for a while."""
        world, spec = self._context, self._context.specs[mark]
        before, world.secrets[spec.secret] = world.secrets[spec.secret], None
        self._tell(process, spec)
        await anyio.sleep(self._draw.choice([1.0, 60.0]))
        if world.secrets[spec.secret] is None:
            world.secrets[spec.secret] = before
            self._tell(process, spec)

    def _tell(self, process: Process, spec: Spec) -> None:
        world = self._context
        for mark, other in world.specs.items():
            if other.secret == spec.secret:
                self._request(mark, new_credentials=True)
                seen = world.watch.seen[mark]
                seen.changed_at = world.machine.elapsed
                seen.may_lose |= other.kind == "jwt"
        if not process.dead:
            process.supervisor.secrets_changed({spec.secret})
