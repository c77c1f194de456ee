"""The refresher on the virtual clock: when it asks, when it does not, and what it keeps meanwhile."""

import anyio
import pytest

from tests.expecting import present
from tests.fakes import HOUR, FakeHeld, FakeSink, Upstream, World, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.values.errors import RateLimitedError, RejectedError, RejectedTwiceError, TransientError
from tokend.values.status import State
from tokend.values.tokens import Token

DOWN = TransientError("connection refused", repeatable=True)
NO = RejectedError("InvalidCredentials")


def gaps(upstream: Upstream) -> list[float]:
    return [b.boot - a.boot for a, b in zip(upstream.calls, upstream.calls[1:], strict=False)]


def test_a_token_is_fetched_once_and_again_at_its_lead() -> None:
    """20 % of the life before its end, at most 5 % earlier by jitter."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            assert len(world.upstreams["one"].calls) == 1
            assert supervisor.entries["a"].status().state is State.VALID
            await anyio.sleep(12 * HOUR)
            assert len(world.upstreams["one"].calls) == 2
            assert 0.75 * 12 * HOUR <= gaps(world.upstreams["one"])[0] <= 0.80 * 12 * HOUR + 5

    run_virtually(main)


def test_an_outage_keeps_the_old_token_until_it_expires_and_bounds_the_requests() -> None:
    """P2 and P3: served while valid, at most 40 requests around the expiry, 20 in a later hour, 5 s apart."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            up.broken = lambda now: DOWN
            entry = supervisor.entries["a"]
            await anyio.sleep(11.5 * HOUR)
            assert entry.status().state is State.FAILING
            assert entry.status().valid
            assert present(entry.lease).token.value.reveal() == "fake-token-1"
            before = len(up.calls)
            await anyio.sleep(1 * HOUR)
            assert entry.status().state is State.EXPIRED
            assert len(up.calls) - before <= 40
            before = len(up.calls)
            await anyio.sleep(1 * HOUR)
            assert len(up.calls) - before <= 20
            assert min(gaps(up)) >= 5.0
            up.broken = lambda now: None
            await anyio.sleep(301)
            assert entry.status().state is State.VALID
            assert entry.status().failures == 0

    run_virtually(main)


def test_credentials_that_one_attempt_has_seen_refused_twice_are_not_tried_again() -> None:
    """The request of renew and the full one are two. The token held is served on; a restart sends nothing."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.script = ["fake-first", *[RejectedTwiceError("401, and renew was refused, too")] * 3]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10 * HOUR)
            status = supervisor.entries["a"].status()
            assert (status.state, status.valid, present(status.last_error).reason) == (State.REJECTED, True, "rejected")
            await anyio.sleep(10 * HOUR)
            assert len(up.calls) == 2
        async with world.running(provider("a", FakeHeld())):
            await anyio.sleep(HOUR)
        assert len(up.calls) == 2

    run_virtually(main)


def test_the_first_hour_of_an_outage_without_a_token_takes_at_most_80_requests() -> None:
    """P3."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].broken = lambda now: DOWN
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(HOUR)
            assert 5 < len(world.upstreams["one"].calls) <= 80
            assert supervisor.entries["a"].status().state is State.PENDING

    run_virtually(main)


def test_rejected_credentials_cost_one_request_without_a_token_and_never_a_timer() -> None:
    """Rejected: at most 2 requests, then nothing by timer, whatever time passes."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.broken = lambda now: NO
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(24 * HOUR)
            assert len(up.calls) <= 2
            status = supervisor.entries["a"].status()
            assert (status.state, status.next_attempt_at) == (State.REJECTED, None)
            assert present(status.last_error).detail == "InvalidCredentials"

    run_virtually(main)


def test_while_a_valid_token_is_held_one_refusal_is_asked_again_and_the_second_stops() -> None:
    """A single odd 401 must not stop the timer while tokens are good; the second does. The token stays served."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            up.script = [NO]
            await anyio.sleep(11 * HOUR)
            assert supervisor.entries["a"].status().state is State.VALID
            before = len(up.calls)
            up.broken = lambda now: NO
            await anyio.sleep(12 * HOUR)
            assert len(up.calls) - before == 2
            assert supervisor.entries["a"].status().state is State.REJECTED

    run_virtually(main)


def test_the_same_token_again_is_not_published_and_asked_for_at_half_of_what_remains() -> None:
    """docs/promises.md 19; its expiry is never rewritten."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(10)
            first = supervisor.entries["a"].lease
            up.script = ["fake-token-1"] * 100
            lease = await supervisor.refresh("a", if_generation=None, reason="test", admin=True)
            assert (lease.generation, lease.token.expires_at) == (
                present(first).generation,
                present(first).token.expires_at,
            )
            assert len(world.written) == 1
            left = clock.instant().until(present(present(first).token.expires_at))
            assert clock.instant().until(present(lease.refresh_at)) == pytest.approx(left / 2, rel=0.01)
            await anyio.sleep(11.9 * HOUR)
            assert len(up.calls) < 15

    run_virtually(main)


def test_a_rate_limit_binds_every_provider_of_the_host() -> None:
    """429: Retry-After counts per upstream host, so that ten providers do not ask one after another."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.script = [RateLimitedError("429", retry_after=600)]
        providers = [provider(f"p{n}", FakeHeld(username=f"u{n}")) for n in range(10)]
        async with world.running(*providers):
            await anyio.sleep(590)
            early = len(up.calls)
            await anyio.sleep(600)
            assert early <= 10
            assert len(up.calls) - early <= 11
        one = World(clock)
        one.upstreams["one"].script = [RateLimitedError("429", retry_after=600)]
        async with one.running(provider("a", FakeHeld())):
            await anyio.sleep(60)
        async with one.running(provider("a", FakeHeld())):
            await anyio.sleep(500)
            assert len(one.upstreams["one"].calls) == 1

    run_virtually(main)


def test_an_expired_token_is_removed_only_where_asked() -> None:
    """on_expiry = remove, and keep as the default."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        keep = provider("a", FakeHeld(), FakeSink(path="kept"))
        remove = provider("b", FakeHeld(username="b", on_expiry="remove"), FakeSink(path="removed"))
        async with world.running(keep, remove):
            await anyio.sleep(10)
            up.broken = lambda now: DOWN
            await anyio.sleep(11.9 * HOUR)
            assert set(world.disk) == {"kept", "removed"}
            await anyio.sleep(0.2 * HOUR)
            assert set(world.disk) == {"kept"}

    run_virtually(main)


def test_a_full_disk_is_retried_by_the_sink_alone() -> None:
    """docs/promises.md 39: no upstream request, the socket still serves, the sink recovers by itself."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.full = True
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(600)
            sink = supervisor.entries["a"].status().sinks[0]
            assert (sink.state, sink.error) == ("failing", "somewhere: no space left on device")
            assert not supervisor.ready
            world.full = False
            await anyio.sleep(61)
            assert supervisor.entries["a"].status().sinks[0].state == "ok"
            assert supervisor.ready
            assert world.announced == ["somewhere"]
            assert len(world.upstreams["one"].calls) == 1

    run_virtually(main)


class Remarking(FakeHeld):
    """A kind with a remark on its tokens."""

    def remark_on(self, token: Token) -> str | None:
        return "the host names no end"


def test_a_kind_may_remark_on_the_token_held() -> None:
    """The remark is the note of the status, and lasts."""

    async def main(clock: VirtualClock) -> None:
        async with World(clock).running(provider("a", Remarking()), provider("b", FakeHeld())) as supervisor:
            await until(lambda: supervisor.ready, seconds=10)
            assert supervisor.entries["a"].status().note == "the host names no end"
            assert supervisor.entries["b"].status().note is None

    run_virtually(main)
