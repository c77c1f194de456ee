"""The warning about an upstream's clock."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from tests.fakes import FakeHeld, FakeLocal, FakeOnDemand, World, literal, provider
from tests.httpd.served import logged
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.policy.clock_difference import CODE, clock_warnings
from tokend.values.instant import Instant

NOW = Instant(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3600, "the clock of one:443 is 1 h ahead of this machine's"),
        (-5400, "the clock of one:443 is 1 h 30 min behind this machine's"),
        (61, "the clock of one:443 is 1 min ahead of this machine's"),
        (59, None),
        (-59, None),
        (0, None),
    ],
)
def test_a_difference_that_signatures_do_not_tolerate_is_a_warning(seconds: float, text: str | None) -> None:
    """A minute or more, on either side."""
    found = clock_warnings("one:443", NOW.wall + timedelta(seconds=seconds), NOW)
    assert [(one.code, one.message.partition(": ")[0]) for one in found] == ([] if text is None else [(CODE, text)])
    assert clock_warnings(None, NOW.wall + timedelta(seconds=seconds), NOW) == ()


def test_status_and_one_log_line_say_that_the_vendors_clock_is_off() -> None:
    """Held and on demand; nothing for a kind without an upstream."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        links, local = FakeOnDemand(), FakeLocal(secret=literal("fake-key"))
        every = [provider("a", FakeHeld()), provider("links", links), provider("c", local)]
        with logged() as logs:
            async with world.running(*every) as supervisor:
                world.upstreams["one"].latency = 1.0
                await until(lambda: bool(world.upstreams["one"].calls), seconds=5)
                world.upstream_offset = 3600.0  # its first reply says so
                await anyio.sleep(10)
                for _ in range(2):
                    await supervisor.refresh("a", if_generation=None, reason="test", admin=True)
                entries = supervisor.entries.items()
                shown = {name: [one.code for one in entry.status().warnings] for name, entry in entries}
                assert shown == {"a": [CODE], "links": [CODE], "c": []}
        assert [line["token"] for line in logs if line["event"] == "clock.differs"] == ["a"]

    run_virtually(main)
