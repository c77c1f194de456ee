"""One sink: it retries alone, announces apart, hangs alone, and says how it stands."""

import anyio
import pytest

from tests.fakes import FakeHeld, FakeSink, HangingThreads, World, provider
from tests.virtual import run_virtually, until
from tokend.values.errors import SinkError


@pytest.mark.parametrize(
    ("failure", "shown"),
    [
        (SinkError("the command ended with 1"), "the command ended with 1"),
        (TimeoutError(), "the command after the write did not end in time"),
    ],
)
def test_an_announcement_that_fails_is_repeated_without_another_write(failure, shown):
    """on_change, signal, systemd: retried, coalesced, visible; the token is in the file all the while."""

    async def main(clock):
        world = World(clock)
        world.stumbles["announce", "somewhere"] = failure
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(20)
            sink = supervisor.entries["a"].status().sinks[0]
            assert (sink.state, sink.error) == ("failing", shown)
            assert supervisor.ready
            del world.stumbles["announce", "somewhere"]
            await anyio.sleep(70)
            assert world.announced == ["somewhere"]
            assert len(world.written) == 1
            assert supervisor.entries["a"].status().sinks[0].state == "ok"

    run_virtually(main)


def test_a_bug_in_a_sink_is_shown_and_stays_that_sinks_own():
    """docs/promises.md 70, and P8: status does not say that all is well."""

    async def main(clock):
        world = World(clock)
        world.stumbles["write", "bad"] = ZeroDivisionError("a bug")
        async with world.running(provider("a", FakeHeld(), FakeSink(path="bad"), FakeSink(path="good"))) as supervisor:
            await anyio.sleep(60)
            bad, good = supervisor.entries["a"].status().sinks
            assert (bad.state, good.state) == ("failing", "ok")
            assert len(world.upstreams["one"].calls) == 1
            world.stumbles.clear()
            await anyio.sleep(70)
            assert world.disk == {"bad": "fake-token-1", "good": "fake-token-1"}

    run_virtually(main)


def test_a_bug_in_a_probe_or_an_announcement_keeps_no_token_from_its_file():
    """A probe at start and an announcement afterwards block nothing."""

    async def main(clock):
        world = World(clock)
        for method in ("probe", "announce"):
            world.stumbles[method, "somewhere"] = ZeroDivisionError("a bug")
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(30)
            assert world.disk == {"somewhere": "fake-token-1"}
            assert supervisor.entries["a"].status().sinks[0].state == "failing"
            world.stumbles.clear()
            await anyio.sleep(70)
            assert supervisor.entries["a"].status().sinks[0].state == "ok"

    run_virtually(main)


def test_a_sink_that_hangs_delays_nobody_and_is_not_written_twice_at_once():
    """docs/promises.md 62: that sink only; while the given-up thread may still write, nobody else does."""

    async def main(clock):
        world = World(clock)
        world.threads = threads = HangingThreads(clock)
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(0.01)
            threads.hanging = True
            entry = supervisor.entries["a"]
            await until(lambda: "not written within 10 s" in (entry.status().sinks[0].error or ""), seconds=20)
            assert supervisor.entries["a"].status().valid
            threads.hanging = False
            await anyio.sleep(5)
            assert "an earlier write still hangs" in supervisor.entries["a"].status().sinks[0].error
            assert world.written == []
            threads.release()
            await anyio.sleep(65)
            assert supervisor.entries["a"].status().sinks[0].state == "ok"
            assert world.written == [("somewhere", "fake-token-1")]

    run_virtually(main)


def test_a_command_that_hangs_is_given_up_and_tried_again():
    """Its thread is another than the writes' are: the token is in the file all the while."""

    async def main(clock):
        world = World(clock)
        world.threads = threads = HangingThreads(clock)
        world.stumbles["announce", "somewhere"] = SinkError("the command ended with 1")
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(5)
            entry = supervisor.entries["a"]
            assert entry.status().sinks[0].error == "the command ended with 1"
            world.stumbles.clear()
            threads.hanging = True
            await until(lambda: "did not end in time" in entry.status().sinks[0].error, seconds=60)
            assert (supervisor.ready, len(world.written)) == (True, 1)
            threads.release()
            await until(lambda: entry.status().sinks[0].state == "ok", seconds=70)
            assert len(world.written) == 1

    run_virtually(main)
