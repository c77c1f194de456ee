"""A target that another program has changed: written again, or reported."""

import anyio
import pytest

from tests.fakes import HOUR, FakeFile, FakeHeld, World, config, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.supervisor import Supervisor
from tokend.values.errors import SinkError
from tokend.values.status import SinkStatus


def sink_of(supervisor: Supervisor, name: str = "a") -> SinkStatus:
    return supervisor.entries[name].status().sinks[0]


@pytest.mark.parametrize("change", ["deleted", "overwritten"])
def test_a_changed_target_is_written_again_within_15_s_without_a_request(change: str) -> None:
    """docs/promises.md P8. It is announced, too: a reader may have read what was there meanwhile."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeFile())) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            await anyio.sleep(20)
            if change == "deleted":
                del world.disk["somewhere"]
            else:
                world.disk["somewhere"] = "an-old-client's-own-fake-token"
            await until(lambda: world.disk.get("somewhere") == "fake-token-1", seconds=15)
            await until(lambda: world.announced == ["somewhere"] * 2, seconds=1)
            assert supervisor.ready
            assert (sink_of(supervisor).state, sink_of(supervisor).repairs) == ("ok", 1)
            assert len(world.upstreams["one"].calls) == 1
            assert world.counters.sink_repairs == {("a", "fake-file-1"): 1}
            await anyio.sleep(HOUR)
            assert sink_of(supervisor).repairs == 1

    run_virtually(main)


def test_an_untouched_target_is_read_once_and_then_only_looked_at() -> None:
    """An idle daemon takes one stat(2) per file and look."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeFile())) as supervisor:
            await anyio.sleep(20)
            world.stumbles["difference", "somewhere"] = AssertionError("it was read")
            await anyio.sleep(HOUR)
            assert sink_of(supervisor).state == "ok"

    run_virtually(main)


def test_a_target_that_is_only_touched_is_not_written() -> None:
    """It holds what it must hold."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeFile())) as supervisor:
            await anyio.sleep(20)
            world.touched += 1
            await anyio.sleep(20)
            assert (sink_of(supervisor).state, sink_of(supervisor).repairs) == ("ok", 0)
            assert len(world.written) == 1

    run_virtually(main)


def test_a_target_that_is_right_again_before_its_repair_is_no_repair() -> None:
    """Nothing is written, counted or announced."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeFile())) as supervisor:
            await anyio.sleep(20)
            world.stumbles["write", "somewhere"] = SinkError("somewhere: no space left on device")
            del world.disk["somewhere"]
            await until(lambda: sink_of(supervisor).state == "failing", seconds=15)
            world.disk["somewhere"] = "fake-token-1"
            world.stumbles.clear()
            await until(lambda: supervisor.ready, seconds=70)
            assert (sink_of(supervisor).state, sink_of(supervisor).repairs) == ("ok", 0)
            assert world.announced == ["somewhere"]

    run_virtually(main)


def test_until_it_is_repaired_the_daemon_is_not_ready() -> None:
    """/readyz is 503. The repair is tried again by backoff, and at once when the target changes again."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeFile())) as supervisor:
            await anyio.sleep(20)
            del world.disk["somewhere"]
            world.stumbles["write", "somewhere"] = SinkError("somewhere: its directory does not exist")
            await until(lambda: not supervisor.ready, seconds=15)
            await until(lambda: sink_of(supervisor).error is not None, seconds=1)
            assert sink_of(supervisor).error == "somewhere: its directory does not exist"
            await anyio.sleep(300)
            del world.stumbles["write", "somewhere"]
            world.touched += 1
            await until(lambda: supervisor.ready, seconds=15)

    run_virtually(main)


def test_drift_report_reports_and_writes_nothing() -> None:
    """The state is conflict until somebody puts the target right, or there is a new token."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeFile(drift="report"))) as supervisor:
            await anyio.sleep(20)
            world.disk["somewhere"] = "something else"
            await until(lambda: not supervisor.ready, seconds=15)
            assert sink_of(supervisor).state == "conflict"
            assert sink_of(supervisor).error == (
                'somewhere: it was overwritten; it is not written again: drift = "report"'
            )
            await anyio.sleep(HOUR)
            assert world.disk["somewhere"] == "something else"
            world.disk["somewhere"] = "fake-token-1"
            await until(lambda: supervisor.ready, seconds=15)
            assert (sink_of(supervisor).state, sink_of(supervisor).error) == ("ok", None)
            world.disk["somewhere"] = "something else"
            await until(lambda: not supervisor.ready, seconds=15)
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            await until(lambda: supervisor.ready, seconds=5)
            assert world.disk["somewhere"] == "fake-token-2"

    run_virtually(main)


def test_a_target_that_belongs_to_somebody_else_is_reported_and_left_alone() -> None:
    """Also by the next token, and by a removal; until it is not theirs any more."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(on_expiry="remove"), FakeFile())) as supervisor:
            await anyio.sleep(20)
            world.disk["somewhere"], world.owners["somewhere"] = "theirs", 1234
            await until(lambda: sink_of(supervisor).state == "conflict", seconds=15)
            assert sink_of(supervisor).found_uid == 1234
            assert not supervisor.ready
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            await anyio.sleep(60)
            await supervisor.apply(config(provider("a", FakeHeld(on_expiry="remove", required=False), FakeFile())))
            await anyio.sleep(60)
            assert world.disk["somewhere"] == "theirs"
            del world.disk["somewhere"], world.owners["somewhere"]
            await until(lambda: world.disk.get("somewhere") == "fake-token-2", seconds=15)
            assert (sink_of(supervisor).state, sink_of(supervisor).found_uid) == ("ok", None)

    run_virtually(main)


def test_a_target_that_somebody_else_owns_is_not_removed() -> None:
    """A withdrawn token is not theirs to lose."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeFile())) as supervisor:
            await anyio.sleep(20)
            world.disk["somewhere"], world.owners["somewhere"] = "theirs", 1234
            await until(lambda: sink_of(supervisor).state == "conflict", seconds=15)
            world.upstreams["one"].latency = HOUR
            await supervisor.forget("a")
            await anyio.sleep(60)
            assert world.disk["somewhere"] == "theirs"

    run_virtually(main)


def test_what_was_removed_on_purpose_is_not_written_again() -> None:
    """`forget`, a withdrawn account, on_expiry = "remove": the state is removed."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeFile())) as supervisor:
            await anyio.sleep(20)
            world.upstreams["one"].latency = HOUR
            await supervisor.forget("a")
            await anyio.sleep(1)
            assert sink_of(supervisor).state == "removed"
            await anyio.sleep(60)
            assert world.disk == {}
            assert (sink_of(supervisor).state, sink_of(supervisor).repairs) == ("removed", 0)

    run_virtually(main)


def test_an_expired_token_is_not_written_again() -> None:
    """on_expiry = "keep" leaves what is there, and writes nothing that no reader can use."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].life = 60
        async with world.running(provider("a", FakeHeld(), FakeFile())) as supervisor:
            await anyio.sleep(20)
            world.upstreams["one"].latency = HOUR
            await anyio.sleep(60)
            world.disk.clear()
            await anyio.sleep(60)
            assert world.disk == {}
            assert sink_of(supervisor).repairs == 0

    run_virtually(main)


def test_a_repair_that_finds_the_token_expired_writes_nothing() -> None:
    """It was found changed while the token was valid, and could not be written until its end."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].life = 100
        async with world.running(provider("a", FakeHeld(), FakeFile())) as supervisor:
            await anyio.sleep(20)
            world.upstreams["one"].latency = HOUR
            world.full = True
            world.disk.clear()
            await until(lambda: sink_of(supervisor).state == "failing", seconds=15)
            await anyio.sleep(110)
            world.full = False
            await anyio.sleep(120)
            assert world.disk == {}

    run_virtually(main)


def test_a_fight_over_a_target_is_slow_and_status_says_who_owns_it() -> None:
    """More than three repairs in a minute: once a minute from then on; SIGHUP repairs at once."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeFile())) as supervisor:
            await anyio.sleep(20)
            for _ in range(120):
                world.disk["somewhere"] = "theirs"
                await anyio.sleep(10)
            assert 15 < sink_of(supervisor).repairs < 25  # 20 minutes
            world.disk["somewhere"] = "theirs"
            await anyio.sleep(6)
            assert sink_of(supervisor).state == "conflict"
            assert "another program keeps changing it" in str(sink_of(supervisor).error)
            assert not supervisor.ready
            supervisor.repair_sinks()
            await anyio.sleep(1)
            assert world.disk["somewhere"] == "fake-token-1"
            assert supervisor.ready

    run_virtually(main)


def test_a_bug_in_a_comparison_is_shown_and_stays_that_sinks_own() -> None:
    """The other targets are looked at; the repair finds the target right, and writes nothing."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.stumbles["difference", "bad"] = ZeroDivisionError("a bug")
        files = FakeFile(path="bad"), FakeFile(path="good")
        async with world.running(provider("a", FakeHeld(), *files)) as supervisor:
            await anyio.sleep(20)
            del world.disk["good"]
            await until(lambda: "good" in world.disk, seconds=15)
            assert [one.repairs for one in supervisor.entries["a"].status().sinks] == [0, 1]

    run_virtually(main)


def test_what_a_target_cannot_be_compared_for_is_said_by_the_repair() -> None:
    """A link in its place, or a directory: the write refuses it in its own words."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeFile())) as supervisor:
            await anyio.sleep(20)
            for method in ("difference", "write"):
                world.stumbles[method, "somewhere"] = SinkError("somewhere: it is a directory")
            world.touched += 1
            await until(lambda: sink_of(supervisor).state == "failing", seconds=15)
            assert sink_of(supervisor).error == "somewhere: it is a directory"

    run_virtually(main)
