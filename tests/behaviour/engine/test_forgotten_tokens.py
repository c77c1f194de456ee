"""A token that an admin has forgotten is not published again: not signed again in one second, not from the upstream."""

from collections.abc import Callable
from datetime import timedelta

import anyio
import pytest

from tests.expecting import present
from tests.fakes import (
    HOUR,
    FakeGiven,
    FakeHeld,
    FakeLocal,
    FakeSink,
    InlineThreads,
    T,
    World,
    config,
    literal,
    minutes,
    provider,
)
from tests.virtual import VirtualClock, run_virtually
from tokend.config.model import ProviderConfig
from tokend.providers.jwt import Jwt
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token

SAME = "same_as_forgotten"
KEY = "fake-secret-of-at-least-32-bytes-000"


def signer(**settings: object) -> ProviderConfig:
    return provider("a", Jwt(secret=literal(KEY), ttl=minutes(15), **settings), FakeSink())  # type: ignore[arg-type]


def test_a_signed_token_that_was_forgotten_is_signed_again_in_the_next_second() -> None:
    """Within its second a JWT of the same claims is the same token; no claim is added."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(signer()) as supervisor:
            await anyio.sleep(0.2)
            first = present(supervisor.entries["a"].lease)
            await supervisor.forget("a")
            await anyio.sleep(0.3)
            assert supervisor.entries["a"].lease is None
            assert world.disk == {}
            await anyio.sleep(1.0)
            second: Lease = present(supervisor.entries["a"].lease)
            assert second.token.value != first.token.value
            assert second.generation > first.generation
            assert second.token.issued_at.wall - first.token.issued_at.wall == timedelta(seconds=1)
            assert world.disk == {"somewhere": second.token.value.reveal()}
            assert supervisor.entries["a"].status().failures == 0

    run_virtually(main)


def test_a_clock_that_is_set_back_does_not_sign_a_forgotten_token_again() -> None:
    """Its end has passed since the boot, but not on the wall."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(signer()) as supervisor:
            await anyio.sleep(0.2)
            first = present(supervisor.entries["a"].lease)
            await supervisor.forget("a")
            await anyio.sleep(HOUR)
            clock.step(-(clock.instant().wall - first.token.issued_at.wall).total_seconds())
            await supervisor.refresh("a", if_generation=None, reason="test", admin=True)
            assert present(supervisor.entries["a"].lease).token.value != first.token.value

    run_virtually(main)


class Constant(FakeLocal):
    """A kind that signs the same token each time."""

    async def fetch(self, runtime: object, previous: Token | None) -> Token:
        now = runtime.clock.instant()  # type: ignore[attr-defined]  # as the kinds of tests do
        return Token(Secret("always-this"), "Bearer", now, now.after(self.life))


def test_a_kind_that_can_sign_no_other_token_fails_and_is_tried_again() -> None:
    """It does not sign without end. The same value with another end is the token that was forgotten."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", Constant(secret=literal(KEY), life=600.0))) as supervisor:
            await anyio.sleep(1)
            await supervisor.forget("a")
            await anyio.sleep(100)
            status = supervisor.entries["a"].status()
            assert (status.valid, present(status.last_error).reason) == (False, SAME)
            assert 2 <= status.failures <= 10
            await anyio.sleep(900)
            assert not supervisor.entries["a"].status().valid

    run_virtually(main)


@pytest.mark.parametrize("between", ["nothing", "a restart", "a rename", "another name after a stop", "other kinds"])
def test_an_upstream_that_returns_a_forgotten_token_is_asked_again_by_backoff(between: str) -> None:
    """It is an error of a class of its own. Neither a restart nor another name is a way around it."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        a, b = provider("a", FakeHeld(), FakeSink()), provider("b", FakeHeld(), FakeSink())
        name = "b" if "name" in between else "a"
        up.script = ["fake-compromised"]
        async with world.running(a) as supervisor:
            await anyio.sleep(10)
            up.script = ["fake-compromised"] * 200
            await supervisor.forget("a")
            await anyio.sleep(20)
            assert world.disk == {}
            if between == "a rename":
                await supervisor.apply(config(b))
            elif between == "other kinds":
                await supervisor.apply(config(provider("a", FakeLocal(secret=literal(KEY)))))
                await supervisor.apply(config(a))
            if between in ("nothing", "a rename", "other kinds"):
                await _stays_away(world, name)
        if between not in ("nothing", "a rename", "other kinds"):
            other = provider("b", FakeHeld(timeout=minutes(1)), FakeSink())  # not even the same settings
            async with world.running(a if name == "a" else other):
                await _stays_away(world, name)

    run_virtually(main)


async def _stays_away(world: World, name: str) -> None:
    up = world.upstreams["one"]
    await anyio.sleep(HOUR)
    status = world.supervisor.entries[name].status()
    assert (status.valid, present(status.last_error).reason) == (False, SAME)
    assert "fake-compromised" not in world.disk.values()
    assert min(b.boot - a.boot for a, b in zip(up.calls[1:], up.calls[2:], strict=False)) >= 5.0
    assert len(up.calls) <= 90
    up.script = []
    await anyio.sleep(301)
    assert world.supervisor.entries[name].status().valid
    assert list(world.disk.values()) == ["fake-token-1"]


class SlowToSave(InlineThreads):
    """Each save takes two seconds, once it is slow."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.slow = False

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        await self._clock.sleep(2.0 if self.slow else 0.0)
        return call()


@pytest.mark.parametrize("slow", [False, True])
def test_a_token_that_is_forgotten_while_it_comes_again_is_not_published(slow: bool) -> None:
    """The attempt began before it was forgotten; with a slow disk, the token arrives while that is being saved."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.disk_threads = disk = SlowToSave(clock)
        up = world.upstreams["one"]
        up.script = ["fake-compromised"] * 2
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(10)
            async with anyio.create_task_group() as tasks:
                up.latency = 4.0
                tasks.start_soon(lambda: _refresh(world))
                await anyio.sleep(3)
                disk.slow = slow
                await supervisor.forget("a")
            disk.slow = False
            assert present(supervisor.entries["a"].status().last_error).reason == SAME
            assert world.disk == {}
            await anyio.sleep(20)
            assert world.disk == {"somewhere": "fake-token-1"}

    run_virtually(main)


async def _refresh(world: World) -> None:
    with pytest.raises(Exception, match="forgotten"):
        await world.supervisor.refresh("a", if_generation=None, reason="test", admin=True)


def test_a_token_that_stands_in_the_settings_does_not_come_back_with_a_restart() -> None:
    """A provider that is given its first token forgets that one, too."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        given = provider("a", FakeGiven(given=literal("fake-given"), renewable=False), FakeSink())
        async with world.running(given) as supervisor:
            await anyio.sleep(10)
            assert world.disk == {"somewhere": "fake-given"}
            world.upstreams["one"].script = ["fake-given"] * 9
            await supervisor.forget("a")
            await anyio.sleep(5)
        async with world.running(given) as supervisor:
            await anyio.sleep(60)
            assert supervisor.entries["a"].lease is None
            assert world.disk == {}

    run_virtually(main)


def test_another_provider_that_holds_the_same_token_keeps_it() -> None:
    """It was not asked to forget: the token stays where it is, and counts as unchanged."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.script = ["fake-shared"] * 2
        async with world.running(provider("a", FakeHeld()), provider("b", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            await supervisor.forget("a")
            await anyio.sleep(10)
            up.script = ["fake-shared"]
            await supervisor.refresh("b", if_generation=None, reason="test", admin=True)
            status = supervisor.entries["b"].status()
            assert (status.valid, status.failures) == (True, 0)
            assert present(supervisor.entries["b"].lease).token.value.reveal() == "fake-shared"

    run_virtually(main)
