"""The looks at all targets: rare, bounded, and not held up by one disk."""

import anyio

from tests.fakes import HOUR, FakeFile, FakeHeld, HangingThreads, Upstream, World, config, provider
from tests.virtual import VirtualClock, run_virtually, until


def test_a_disk_that_hangs_holds_up_its_own_target_only() -> None:
    """docs/promises.md 62: the others are looked at, and the first again when its disk is back."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        files = [FakeFile(path=path) for path in ("one", "two", "three")]
        async with world.running(provider("a", FakeHeld(), *files)) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            threads = world.looks = HangingThreads(clock)
            await anyio.sleep(20)
            threads.hanging = True
            await anyio.sleep(11)
            threads.hanging = False
            world.disk.clear()
            await until(lambda: {"two", "three"} <= world.disk.keys(), seconds=15)
            assert "one" not in world.disk
            threads.release()
            await until(lambda: "one" in world.disk, seconds=15)

    run_virtually(main)


def test_a_token_that_arrives_during_a_comparison_makes_it_void() -> None:
    """The target was compared with the older token."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeFile())) as supervisor:
            await anyio.sleep(20)
            compare = FakeFile.difference
            try:

                def slow(self: FakeFile, *given: object) -> object:
                    found = compare(self, *given)  # type: ignore[arg-type]
                    lease = supervisor.entries["a"].lease
                    assert lease is not None
                    world.store.show("a", world.store.get("a").without_token())
                    return found

                FakeFile.difference = slow  # type: ignore[method-assign,assignment]  # a pause in the middle of it
                del world.disk["somewhere"]
                await anyio.sleep(8)
            finally:
                FakeFile.difference = compare  # type: ignore[method-assign]
            assert supervisor.entries["a"].status().sinks[0].repairs == 0

    run_virtually(main)


def test_targets_that_are_not_configured_any_more_are_not_looked_at() -> None:
    """Their files stay as they are, and what others do to them is theirs."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeFile())) as supervisor:
            await anyio.sleep(20)
            await supervisor.apply(config(provider("a", FakeHeld())))
            world.disk.clear()
            await anyio.sleep(HOUR)
            assert world.disk == {}

    run_virtually(main)


def test_targets_of_many_providers_are_looked_at_in_parts() -> None:
    """A thousand files: each is repaired in time."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        names = [f"p{number}" for number in range(1200)]
        for name in names:
            world.upstreams[name] = Upstream(clock)
        async with world.running(
            *(provider(name, FakeHeld(base_url=name), FakeFile(path=name)) for name in names)
        ) as supervisor:
            await until(lambda: supervisor.ready, seconds=60)
            await anyio.sleep(20)
            world.disk.clear()
            await until(lambda: len(world.disk) == len(names), seconds=15)

    run_virtually(main)
