"""Names that pass from one provider to another: the token goes with its account, and a name's generations only rise."""

from dataclasses import replace

import anyio
import pytest

from tests.expecting import present
from tests.fakes import FakeHeld, FakeLocal, FakeOnDemand, FakeSink, World, config, literal, provider
from tests.virtual import BOOT, EPOCH, VirtualClock, run_virtually
from tokend.config.model import ProviderConfig
from tokend.engine.records.documents import Document
from tokend.engine.records.forgotten import Forgotten
from tokend.engine.records.record import Record
from tokend.engine.records.rename import emptied, for_another_kind, is_blank, renamed
from tokend.engine.records.token_states import WITHDRAWN, Held
from tokend.engine.supervisor import Supervisor
from tokend.values.errors import TokenUnavailableError, TransientError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token

START = Instant(EPOCH, BOOT)
FULL = Record(
    token=Held(
        Lease("a", Token(Secret("fake"), "Bearer", START, START.after(900)), 7, START.after(700), "0123456789ab")
    ),
    account="acc",
    generation=7,
)


def test_a_renamed_record_keeps_its_generation_unless_the_name_has_used_it_up() -> None:
    """Generations of a name only rise."""
    kept = renamed(FULL, "b", there=Record(generation=3), now=START)
    assert (present(kept.lease).name, present(kept.lease).generation, kept.generation) == ("b", 7, 7)
    raised = renamed(FULL, "b", there=Record(generation=90), now=START)
    assert (present(raised.lease).generation, raised.generation) == (91, 91)
    assert renamed(Record(generation=4), "b", there=Record(generation=9), now=START) == Record(generation=9)


def test_every_name_keeps_what_was_forgotten_under_it() -> None:
    """Neither another kind nor another name is a way around it."""
    first, second = Forgotten("1" * 12, START.after(900)), Forgotten("2" * 12, None)
    there, record = Record(generation=3, forgotten=(first,)), Record(generation=4, forgotten=(second,))
    assert renamed(record, "b", there=there, now=START).forgotten == (first, second)
    assert [change(there).forgotten for change in (emptied, for_another_kind)] == [(first,)] * 2
    assert is_blank(there)


def test_a_renamed_record_that_is_out_of_date_stays_so() -> None:
    """Its token does not get the generation of the newer one."""
    old = FULL.outdated_by(12)
    kept = renamed(old, "b", there=Record(generation=3), now=START)
    assert (present(kept.lease).generation, kept.generation, kept.is_outdated) == (7, 12, True)


def test_a_name_that_passes_to_another_kind_keeps_its_documents() -> None:
    """A counter goes on where the name comes back to its first kind."""
    counted = replace(FULL, documents=(Document("counters", {"counter_ms": 9}, START),))
    assert for_another_kind(counted).documents == counted.documents


def test_what_is_left_of_a_record_is_its_generation() -> None:
    """And, where its name goes on under another kind, that the sinks must not hold its token."""
    assert emptied(FULL) == Record(generation=7)
    assert for_another_kind(FULL) == Record(generation=7, token=WITHDRAWN)
    assert for_another_kind(for_another_kind(FULL)) == for_another_kind(FULL)
    assert [is_blank(r) for r in (Record(), emptied(FULL), for_another_kind(FULL), FULL)] == [True] * 2 + [False] * 2


def held(name: str, username: str, *sinks: FakeSink) -> ProviderConfig:
    return provider(name, FakeHeld(username=username), *sinks)


@pytest.mark.parametrize(
    "newcomer",
    [FakeHeld(username="new"), FakeOnDemand(), FakeLocal(secret=literal("fake-key"))],
    ids=["held", "on demand", "local"],
)
def test_a_provider_that_leaves_its_name_to_another_keeps_its_token_without_a_request(
    newcomer: FakeHeld | FakeLocal | FakeOnDemand,
) -> None:
    """docs/promises.md 80, P2: renamed, and the old name taken in the same edit. No file of it is touched."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        file = FakeSink(path="file")
        async with world.running(held("old", "ann", file)) as supervisor:
            await anyio.sleep(10)
            lease = supervisor.entries["old"].lease
            plan = await supervisor.apply(config(provider("old", newcomer), held("new", "ann", file)))
            assert list(plan) == [{"name": "new", "action": "rename"}, {"name": "old", "action": "add"}]
            assert present(supervisor.entries["new"].lease).token is present(lease).token
            assert present(supervisor.entries["new"].lease).generation == present(lease).generation
            await anyio.sleep(10)
            assert [call.boot for call in world.upstreams["one"].calls][1:] == (
                [] if not isinstance(newcomer, FakeHeld) else [pytest.approx(clock.instant().boot, abs=10)]
            )
            assert present(supervisor.entries["new"].lease).token is present(lease).token
            assert "file" in world.disk
        async with world.running(provider("old", newcomer), held("new", "ann", file)) as supervisor:
            await anyio.sleep(1)
            assert present(supervisor.entries["new"].lease).token.value == present(lease).token.value

    run_virtually(main)


def test_the_generations_of_a_name_rise_under_every_provider() -> None:
    """PRODUCT: they only rise. A name is left, another takes it, is renamed, and the first comes back; with a crash."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        shown = []

        def note(supervisor: Supervisor) -> None:
            if (entry := supervisor.entries.get("x")) is not None and entry.lease is not None:
                shown.append((entry.lease.generation, entry.lease.token.value.reveal()))

        async with world.running(held("x", "ann"), held("y", "bob")) as supervisor:
            await anyio.sleep(10)
            await supervisor.refresh("x", if_generation=None, reason="test", admin=True)
            await supervisor.refresh("x", if_generation=None, reason="test", admin=True)
            note(supervisor)
            for _ in range(2):
                await supervisor.apply(config(held("z", "ann"), held("y", "bob")))
                await supervisor.apply(config(held("z", "ann"), held("x", "bob")))
                note(supervisor)
                await supervisor.apply(config(held("x", "ann"), held("y", "bob")))
                note(supervisor)
            await supervisor.apply(config(held("z", "ann"), held("y", "bob")))
        async with world.running(held("z", "ann"), held("x", "bob")) as supervisor:
            await anyio.sleep(1)
            note(supervisor)
        assert len(shown) == 6
        assert shown == sorted(shown)
        assert len({generation for generation, _ in shown}) == len(shown)

    run_virtually(main)


def test_a_provider_that_takes_the_place_of_another_brings_its_own_token() -> None:
    """The other is gone: nothing of it is served, and no request is made."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(held("x", "ann"), held("y", "bob", FakeSink(path="file"))) as supervisor:
            await anyio.sleep(10)
            lease, asked = supervisor.entries["x"].lease, len(world.upstreams["one"].calls)
            plan = await supervisor.apply(config(held("y", "ann", FakeSink(path="file"))))
            assert list(plan) == [{"name": "y", "action": "rename"}]
            await anyio.sleep(10)
            assert present(supervisor.entries["y"].lease).token is present(lease).token
            assert world.disk["file"] == present(lease).token.value.reveal()
            assert len(world.upstreams["one"].calls) == asked

    run_virtually(main)


def test_a_kind_that_holds_nothing_keeps_the_generations_of_its_name() -> None:
    """A success and fixed credentials clear its own record; the next held kind counts on from its generations."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(held("x", "ann")) as supervisor:
            await anyio.sleep(10)
            for _ in range(2):
                await supervisor.refresh("x", if_generation=None, reason="test", admin=True)
            generation = present(supervisor.entries["x"].lease).generation
            world.upstreams["one"].script = [TransientError("down")]
            await supervisor.apply(config(provider("x", FakeOnDemand())))
            with pytest.raises(TokenUnavailableError):
                await supervisor.issue("x", {})
            await supervisor.issue("x", {})
        clock.step(-3600)
        async with world.running(held("x", "bob")) as supervisor:
            await anyio.sleep(10)
            assert present(supervisor.entries["x"].lease).generation > generation

    run_virtually(main)
