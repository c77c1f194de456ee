"""One sink: it retries alone, announces apart, hangs alone, and says how it stands."""

from pathlib import Path
from typing import Literal

import anyio
import pytest

from tests.fakes import HOLDING, WORLDS, FakeHeld, FakeSink, World, config, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.values.errors import SinkError
from tokend.values.status import StatusWarning


@pytest.mark.parametrize(
    ("failure", "shown"),
    [
        (SinkError("the command ended with 1"), "the command ended with 1"),
        (TimeoutError(), "the command after the write did not end in time"),
    ],
)
def test_an_announcement_that_fails_is_repeated_without_another_write(failure: Exception, shown: str) -> None:
    """on_change, signal, systemd: retried, coalesced, visible; the token is in the file all the while."""

    async def main(clock: VirtualClock) -> None:
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


def test_a_bug_in_a_sink_is_shown_and_stays_that_sinks_own() -> None:
    """docs/promises.md 70, and P8: status does not say that all is well."""

    async def main(clock: VirtualClock) -> None:
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


def test_a_bug_in_a_probe_or_an_announcement_keeps_no_token_from_its_file() -> None:
    """A probe at start and an announcement afterwards block nothing."""

    async def main(clock: VirtualClock) -> None:
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


class FakeTemplate(FakeSink):
    """A sink that reads a file at each write."""

    kind: Literal["fake-template"] = "fake-template"  # type: ignore[assignment]  # each kind has a name of its own
    source: Path = Path("/obviously/fake.j2")


def test_a_sink_is_written_again_when_a_file_that_it_reads_changes() -> None:
    """A template: at once, without another token. Other sinks and other files notice nothing."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        sinks = FakeTemplate(path="rendered"), FakeSink(path="plain")
        async with world.running(provider("a", FakeHeld(), *sinks)) as supervisor:
            await anyio.sleep(10)
            world.disk.clear()
            supervisor.secrets_changed({Path("/obviously/other.j2")})
            await anyio.sleep(10)
            assert world.disk == {}
            supervisor.secrets_changed({Path("/obviously/fake.j2")})
            await anyio.sleep(1)
            assert world.disk.keys() == {"rendered"}
            assert len(world.upstreams["one"].calls) == 1

    run_virtually(main)


def test_a_change_during_a_write_causes_another_write() -> None:
    """The write under way may have read the file before the change."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeTemplate(path="rendered"))) as supervisor:
            await anyio.sleep(10)
            changed = {Path("/obviously/fake.j2")}
            HOLDING.append(lambda: supervisor.secrets_changed(changed))
            supervisor.secrets_changed(changed)
            await anyio.sleep(5)
            writes = world.counters.sink_writes
            assert writes["a", "fake-template-1", "success"] == 1
            assert writes["a", "fake-template-1", "unchanged"] == 2

    run_virtually(main)


class RemarkingFake(FakeSink):
    """A sink with something to say about its target."""

    kind: Literal["fake-remarking"] = "fake-remarking"  # type: ignore[assignment]  # each kind has a name of its own

    def remarks(self) -> list[StatusWarning]:
        return [StatusWarning("odd", f"{self.path} looks odd")] if self.path in WORLDS[-1].disk else []


def test_remarks_on_a_target_are_warnings_of_its_token() -> None:
    """They go with the sink."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), RemarkingFake())) as supervisor:
            await anyio.sleep(20)
            assert supervisor.entries["a"].status().warnings == (StatusWarning("odd", "somewhere looks odd"),)
            await supervisor.apply(config(provider("a", FakeHeld(), FakeSink(path="elsewhere"))))
            await anyio.sleep(20)
            assert supervisor.entries["a"].status().warnings == ()

    run_virtually(main)
