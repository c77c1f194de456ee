"""The refresher on the virtual clock: when it asks, when it does not, and what it keeps meanwhile."""

import anyio
import pytest

from tests.fakes import HOUR, FakeHeld, FakeLocal, FakeSink, Upstream, World, minutes, provider
from tests.virtual import run_virtually
from tokend.errors import (
    ClockError,
    GenerationConflictError,
    LoginRequiredError,
    RateLimitedError,
    RejectedError,
    ThrottledError,
    TokenUnavailableError,
    TransientError,
    WaitTimeoutError,
)
from tokend.settings import parse_duration
from tokend.sources import SecretSource
from tokend.status import State

DOWN = TransientError("connection refused", repeatable=True)
NO = RejectedError("InvalidCredentials")


def gaps(upstream: Upstream) -> list[float]:
    return [b.boot - a.boot for a, b in zip(upstream.calls, upstream.calls[1:], strict=False)]


def test_a_token_is_fetched_once_and_again_at_its_lead():
    """20 % of the life before its end, at most 5 % earlier by jitter."""

    async def main(clock):
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            assert len(world.upstreams["one"].calls) == 1
            assert supervisor.entries["a"].status().state is State.VALID
            await anyio.sleep(12 * HOUR)
            assert len(world.upstreams["one"].calls) == 2
            assert 0.75 * 12 * HOUR <= gaps(world.upstreams["one"])[0] <= 0.80 * 12 * HOUR + 5

    run_virtually(main)


def test_an_outage_keeps_the_old_token_until_it_expires_and_bounds_the_requests():
    """P2 and P3: served while valid, at most 40 requests around the expiry and 20 in a later hour, floor of 5 s."""

    async def main(clock):
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            up.broken = lambda now: DOWN
            entry = supervisor.entries["a"]
            await anyio.sleep(11.5 * HOUR)
            assert entry.status().state is State.FAILING
            assert entry.status().valid
            assert entry.lease.token.value.reveal() == "fake-token-1"
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


def test_the_first_hour_of_an_outage_without_a_token_takes_at_most_80_requests():
    """P3."""

    async def main(clock):
        world = World(clock)
        world.upstreams["one"].broken = lambda now: DOWN
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(HOUR)
            assert 5 < len(world.upstreams["one"].calls) <= 80
            assert supervisor.entries["a"].status().state is State.PENDING

    run_virtually(main)


def test_rejected_credentials_cost_one_request_without_a_token_and_never_a_timer():
    """Rejected: at most 2 requests, then nothing by timer, whatever time passes."""

    async def main(clock):
        world = World(clock)
        up = world.upstreams["one"]
        up.broken = lambda now: NO
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(24 * HOUR)
            assert len(up.calls) <= 2
            status = supervisor.entries["a"].status()
            assert (status.state, status.next_attempt_at) == (State.REJECTED, None)
            assert status.last_error.detail == "InvalidCredentials"

    run_virtually(main)


def test_a_restart_is_no_way_around_a_rejection_but_a_new_secret_is():
    """`rejected` is persisted with the secret's fingerprint."""

    async def main(clock):
        world = World(clock, environ={"KEY": "wrong"})
        up = world.upstreams["one"]
        up.broken = lambda now: NO
        settings = FakeHeld(key=SecretSource(env="KEY"))
        for _ in range(3):
            async with world.running(provider("a", settings)) as supervisor:
                await anyio.sleep(HOUR)
                assert supervisor.entries["a"].status().state is State.REJECTED
        assert len(up.calls) == 1
        world.environ["KEY"] = "right"
        up.broken = lambda now: None
        async with world.running(provider("a", settings)) as supervisor:
            await anyio.sleep(20)
            assert supervisor.entries["a"].status().state is State.VALID

    run_virtually(main)


def test_while_a_valid_token_is_held_one_verdict_is_asked_again_and_the_second_stops():
    """A single odd 401 must not stop the timer while tokens are good; the second does. The token stays served."""

    async def main(clock):
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


def test_a_clock_verdict_is_asked_again_once_and_counts():
    """Clock: learn the offset, retry once; a second refusal is a verdict."""

    async def main(clock):
        world = World(clock)
        up = world.upstreams["one"]
        up.script = [ClockError("our clock is 3600 s behind", offset=3600.0)]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(60)
            assert supervisor.entries["a"].status().state is State.VALID
            assert len(up.calls) == 2
        world.upstreams["two"] = two = Upstream(clock, script=[ClockError("skew", offset=9e3)] * 5)
        async with world.running(provider("b", FakeHeld(base_url="two"))) as supervisor:
            await anyio.sleep(HOUR)
            assert supervisor.entries["b"].status().state is State.REJECTED
            assert len(two.calls) == 2

    run_virtually(main)


def test_an_implausible_clock_makes_no_request_and_expires_nothing():
    """docs/promises.md 36: class clock."""

    async def main(clock):
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            clock.step(70 * 365 * 86400)
            await anyio.sleep(HOUR)
            status = supervisor.entries["a"].status()
            assert (status.valid, status.last_error.reason, len(up.calls)) == (True, "clock", 1)
            clock.step(-70 * 365 * 86400)
            await anyio.sleep(301)
            assert supervisor.entries["a"].status().last_error is None

    run_virtually(main)


@pytest.mark.parametrize("step", [6 * HOUR, -6 * HOUR, 24 * HOUR, -24 * HOUR])
def test_a_stepped_wall_clock_expires_nothing_and_costs_at_most_one_request(step):
    """P6: docs/promises.md 29 and 30."""

    async def main(clock):
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            up.broken = lambda now: DOWN
            clock.step(step)
            await anyio.sleep(0.01)
            assert supervisor.entries["a"].status().valid
            up.broken = lambda now: None
            await anyio.sleep(HOUR)
            assert len(up.calls) <= 4
            await anyio.sleep(12 * HOUR)
            status = supervisor.entries["a"].status()
            assert status.state is State.VALID
            assert min(gaps(up)) >= 1.0

    run_virtually(main)


def test_flapping_clocks_keep_requests_bounded():
    """docs/promises.md 31."""

    async def main(clock):
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())):
            await anyio.sleep(10)
            for _ in range(100):
                clock.step(24 * HOUR)
                await anyio.sleep(10)
                clock.step(-24 * HOUR)
                await anyio.sleep(10)
            assert len(up.calls) <= 5

    run_virtually(main)


def test_a_suspended_machine_refreshes_when_it_wakes():
    """docs/promises.md 28: boot time counts the sleep."""

    async def main(clock):
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            clock.suspend(13 * HOUR)
            assert not supervisor.entries["a"].status().valid
            await anyio.sleep(15)
            assert supervisor.entries["a"].status().state is State.VALID

    run_virtually(main)


def test_a_restart_makes_no_login_and_keeps_generation_and_moment():
    """Tokens are persisted with their origin, jitter included."""

    async def main(clock):
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            first = supervisor.entries["a"].lease
        async with world.running(provider("a", FakeHeld())) as supervisor:
            assert supervisor.entries["a"].lease == first
            await anyio.sleep(HOUR)
        assert len(world.upstreams["one"].calls) == 1

    run_virtually(main)


def test_after_a_reboot_the_boot_line_is_laid_anew_from_the_wall():
    """docs/promises.md 35: the token still ends when it ends."""

    async def main(clock):
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            left = supervisor.entries["a"].status().seconds_left
        world.state.boot_id = "boot-2"
        clock.suspend(HOUR)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            assert supervisor.entries["a"].status().seconds_left == pytest.approx(left - HOUR, abs=0.1)

    run_virtually(main)


def test_generations_only_rise_also_when_the_state_was_lost():
    """They start at max(last known, Unix seconds)."""

    async def main(clock):
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            first = supervisor.entries["a"].lease.generation
            await supervisor.refresh("a", if_generation=None, reason="test", admin=True)
            second = supervisor.entries["a"].lease.generation
        assert first == pytest.approx(clock.instant().wall.timestamp(), abs=60)
        world.state.content.clear()
        await anyio.sleep(30)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(30)
            assert supervisor.entries["a"].lease.generation > second > first

    run_virtually(main)


def test_a_damaged_state_file_is_set_aside_and_the_token_fetched_anew():
    """docs/promises.md 64."""

    async def main(clock):
        world = World(clock)
        world.state.content["a"] = b'{"version":1,"name":"a"'
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            assert supervisor.entries["a"].status().state is State.VALID

    run_virtually(main)


def test_a_token_is_published_although_it_cannot_be_persisted():
    """A full disk costs the restart's comfort, not the token."""

    async def main(clock):
        world = World(clock)
        world.state.broken = True
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(10)
            assert supervisor.entries["a"].status().state is State.VALID
            assert world.disk == {"somewhere": "fake-token-1"}

    run_virtually(main)


def test_the_same_token_again_is_not_published_and_asked_for_at_half_of_what_remains():
    """docs/promises.md 19; its expiry is never rewritten."""

    async def main(clock):
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(10)
            first = supervisor.entries["a"].lease
            up.script = ["fake-token-1"] * 100
            lease = await supervisor.refresh("a", if_generation=None, reason="test", admin=True)
            assert (lease.generation, lease.token.expires_at) == (first.generation, first.token.expires_at)
            assert len(world.written) == 1
            left = clock.instant().until(first.token.expires_at)
            assert clock.instant().until(lease.refresh_at) == pytest.approx(left / 2, rel=0.01)
            await anyio.sleep(11.9 * HOUR)
            assert len(up.calls) < 15

    run_virtually(main)


def test_a_rate_limit_binds_every_provider_of_the_host():
    """429: Retry-After counts per upstream host, so that ten providers do not take turns."""

    async def main(clock):
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


def test_many_readers_cause_one_request():
    """Single flight: a hundred callers, one attempt."""

    async def main(clock):
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            leases = []

            async def ask():
                leases.append(await supervisor.refresh("a", if_generation=None, reason="unauthorized", admin=True))

            async with anyio.create_task_group() as tasks:
                for _ in range(100):
                    tasks.start_soon(ask)
            assert len(up.calls) == 2
            assert len({lease.generation for lease in leases}) == 1

    run_virtually(main)


def test_readers_cannot_cause_storms_but_an_admin_may_ask_again():
    """Three attempts at once, then one per five minutes, else 429; admins keep the 5 s floor only."""

    async def main(clock):
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            for _ in range(3):
                generation = supervisor.entries["a"].lease.generation
                await supervisor.refresh("a", if_generation=generation, reason="unauthorized", admin=False)
            generation = supervisor.entries["a"].lease.generation
            with pytest.raises(ThrottledError) as refused:
                await supervisor.refresh("a", if_generation=generation, reason="unauthorized", admin=False)
            assert refused.value.retry_at > clock.instant().wall.timestamp()
            await supervisor.refresh("a", if_generation=None, reason="person", admin=True)
            assert len(up.calls) == 5
            assert min(gaps(up)[1:]) >= 5.0

    run_virtually(main)


def test_a_generation_that_is_old_gets_the_newer_token_and_one_from_the_future_a_conflict():
    """if_generation: newer already → that one, no request; above the current → 409."""

    async def main(clock):
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            current = supervisor.entries["a"].lease
            assert current == await supervisor.refresh(
                "a", if_generation=current.generation - 1, reason="", admin=False
            )
            with pytest.raises(GenerationConflictError):
                await supervisor.refresh("a", if_generation=current.generation + 1, reason="", admin=False)
            assert len(world.upstreams["one"].calls) == 1

    run_virtually(main)


def test_min_ttl_is_a_promise_or_a_typed_refusal():
    """Refreshed first if need be; above a fresh token's life it is refused without a request."""

    async def main(clock):
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            assert (await supervisor.fresh("a", 60, admin=False)).generation
            assert len(up.calls) == 1
            with pytest.raises(TokenUnavailableError):
                await supervisor.fresh("a", 13 * HOUR, admin=False)
            assert len(up.calls) == 1
            lease = await supervisor.fresh("a", 11.999 * HOUR + 3, admin=False)
            assert len(up.calls) == 2
            assert clock.instant().until(lease.token.expires_at) >= 11.999 * HOUR + 3
            up.broken = lambda now: DOWN
            await anyio.sleep(HOUR)
            with pytest.raises(TokenUnavailableError):
                await supervisor.fresh("a", 11.9 * HOUR, admin=False)
            assert supervisor.entries["a"].status().valid

    run_virtually(main)


def test_a_reader_waits_thirty_seconds_at_most():
    """Then 504; the attempt goes on and its token is kept."""

    async def main(clock):
        world = World(clock)
        world.upstreams["one"].latency = 100
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(5)
            start = clock.instant()
            with pytest.raises(WaitTimeoutError):
                await supervisor.fresh("a", 1, admin=True)
            assert start.until(clock.instant()) == pytest.approx(30, abs=0.1)
            await anyio.sleep(100)
            assert supervisor.entries["a"].status().valid

    run_virtually(main)


def test_a_refresh_by_an_admin_leaves_rejected_and_a_reader_cannot():
    """`rejected` resumes on `tokend refresh`."""

    async def main(clock):
        world = World(clock)
        up = world.upstreams["one"]
        up.script = [NO]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            with pytest.raises(LoginRequiredError):
                await supervisor.fresh("a", 60, admin=False)
            assert len(up.calls) == 1
            up.script = [NO]
            with pytest.raises(LoginRequiredError):
                await supervisor.refresh("a", if_generation=None, reason="person", admin=True)
            assert (await supervisor.refresh("a", if_generation=None, reason="person", admin=True)).generation
            assert len(up.calls) == 3

    run_virtually(main)


def test_a_minted_token_follows_its_secret_at_once():
    """jwt: a changed secret re-mints; there is no floor for minting."""

    async def main(clock):
        world = World(clock, environ={"S": "old"})
        async with world.running(provider("a", FakeLocal(secret=SecretSource(env="S")), FakeSink())) as supervisor:
            await anyio.sleep(0.01)
            world.environ["S"] = "new"
            supervisor.entries["a"].worker.secrets_changed()
            await anyio.sleep(0.01)
            assert world.disk["somewhere"].startswith("minted-new")

    run_virtually(main)


def test_a_forgotten_token_leaves_memory_state_and_files_and_is_replaced():
    """forget: drop a compromised token, unlink its files, log in anew."""

    async def main(clock):
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(10)
            up.latency = 5
            await supervisor.forget("a")
            await anyio.sleep(1)
            assert world.disk == {}
            assert b"fake-token-1" not in world.state.content["a"]
            await anyio.sleep(15)
            assert world.disk == {"somewhere": "fake-token-2"}

    run_virtually(main)


def test_an_expired_token_is_removed_only_where_asked():
    """on_expiry = remove, and keep as the default."""

    async def main(clock):
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


def test_a_full_disk_is_retried_by_the_sink_alone():
    """docs/promises.md 39: no upstream request, the socket still serves, the sink recovers by itself."""

    async def main(clock):
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


def test_refresh_before_is_obeyed():
    """The operator's lead, as a duration."""

    async def main(clock):
        world = World(clock)
        settings = FakeHeld(refresh_before=parse_duration("10m"))
        assert settings.refresh_before == minutes(10)
        async with world.running(provider("a", settings)):
            await anyio.sleep(12 * HOUR)
            assert 0.93 * 12 * HOUR <= gaps(world.upstreams["one"])[0] <= 12 * HOUR - 600 + 5

    run_virtually(main)


def test_a_month_of_a_hundred_providers_is_quiet():
    """30 simulated days of 100 providers: each asked only at its lead, nothing ever expired."""

    async def main(clock):
        world = World(clock)
        for n in range(100):
            world.upstreams[f"host-{n}"] = Upstream(clock, life=(n % 10 + 1) * 4 * HOUR)
        async with world.running(
            *(provider(f"p{n}", FakeHeld(base_url=f"host-{n}")) for n in range(100))
        ) as supervisor:
            for _ in range(30):
                await anyio.sleep(24 * HOUR)
                assert all(entry.status().state is State.VALID for entry in supervisor.entries.values())
        for n in range(100):
            upstream = world.upstreams[f"host-{n}"]
            assert len(upstream.calls) <= 30 * 24 * HOUR / (0.75 * upstream.life) + 2

    run_virtually(main)
