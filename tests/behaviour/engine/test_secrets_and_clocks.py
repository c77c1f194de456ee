"""P3 where a secret or a clock is wrong: no useless request is made, and what was fixed is used at once."""

import anyio
import pytest

from tests.expecting import held, present
from tests.fakes import HOUR, FakeHeld, FakeLocal, FakeRuntime, World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import ClockError, LoginRequiredError, RejectedError, TransientError
from tokend.values.status import State
from tokend.values.tokens import Token

DOWN, NO = TransientError("down"), RejectedError("InvalidCredentials")


def test_a_secret_that_vanishes_and_comes_back_unchanged_is_still_rejected() -> None:
    """Rejected credentials: at most 2 requests, until something changes."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"KEY": "wrong"})
        up = world.upstreams["one"]
        up.broken = lambda now: NO
        async with world.running(provider("a", FakeHeld(key=SecretSource(env="KEY")))) as supervisor:
            await anyio.sleep(10)
            del world.environ["KEY"]
            held(supervisor.entries["a"]).refresher.secrets_changed()
            await anyio.sleep(HOUR)
            world.environ["KEY"] = "wrong"
            held(supervisor.entries["a"]).refresher.secrets_changed()
            await anyio.sleep(HOUR)
            assert len(up.calls) == 1
            assert supervisor.entries["a"].status().state is State.REJECTED

    run_virtually(main)


def test_an_empty_secret_causes_no_request_and_is_asked_for_once_it_is_there() -> None:
    """A configuration error; the old token is served meanwhile, and the fixed secret is used at once."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"KEY": ""})
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld(key=SecretSource(env="KEY")))) as supervisor:
            await anyio.sleep(HOUR)
            assert up.calls == []
            assert present(supervisor.entries["a"].status().last_error).reason == "config"
            world.environ["KEY"] = "right"
            held(supervisor.entries["a"]).refresher.secrets_changed()
            await anyio.sleep(6)
            assert supervisor.entries["a"].status().state is State.VALID
            del world.environ["KEY"]
            changed = FakeHeld(key=SecretSource(env="KEY"), username="somebody")
            await supervisor.apply(config(provider("a", changed)))
            await anyio.sleep(60)
            assert supervisor.entries["a"].status().valid
            assert len(up.calls) == 1

    run_virtually(main)


def test_a_clock_that_cannot_be_right_is_waited_for_without_a_write_every_five_seconds() -> None:
    """docs/promises.md 36: no request, backoff, and on with it as soon as the clock is set."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        clock.step(-50 * 365 * 86400)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(HOUR)
            assert world.upstreams["one"].calls == []
            assert present(supervisor.entries["a"].status().last_error).reason == "clock"
            assert world.state.saves <= 40
            clock.step(50 * 365 * 86400)
            await anyio.sleep(6)
            assert supervisor.entries["a"].status().state is State.VALID

    run_virtually(main)


def test_a_minted_token_that_comes_out_the_same_is_not_left_to_expire() -> None:
    """Minting has no minimum interval: half of what remains, however little that is."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)

        class Whole(FakeLocal):
            async def fetch(self, runtime: FakeRuntime, previous: Token | None) -> Token:
                token = await FakeLocal.fetch(self, runtime, previous)
                begun = runtime.clock.instant().boot // 1
                return type(token)(type(token.value)(f"minted-{begun}"), "Bearer", token.issued_at, token.expires_at)

        async with world.running(provider("a", Whole(secret=literal("s"), life=4.0))) as supervisor:
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            for _ in range(200):
                await anyio.sleep(0.1)
                assert supervisor.entries["a"].status().valid

    run_virtually(main)


def test_a_learned_clock_that_does_not_help_ends_in_rejected_after_two_requests() -> None:
    """Clock: learn the offset, retry once."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.script = [ClockError("skew", offset=9e3), NO]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(HOUR)
            assert len(up.calls) == 2
            with pytest.raises(LoginRequiredError):
                await supervisor.fresh("a", 1, admin=False)

    run_virtually(main)


def test_a_token_of_the_state_is_failing_while_its_secret_cannot_be_read_since_the_start() -> None:
    """No request is made for it, then or when the secret is there: the token is not due. A secret that was read once
    and vanishes later leaves the state as it is."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"KEY": "right"})
        configured = provider("a", FakeHeld(key=SecretSource(env="KEY")))
        async with world.running(configured):
            await anyio.sleep(10)
        del world.environ["KEY"]
        async with world.running(configured) as supervisor:
            entry, shown = supervisor.entries["a"], []
            supervisor.subscribe(lambda name: shown.append(entry.status().state))
            await anyio.sleep(60)
            status = entry.status()
            assert (status.state, status.valid, present(status.last_error).reason) == (State.FAILING, True, "config")
            assert State.FAILING in shown
            world.environ["KEY"] = "right"
            held(entry).refresher.secrets_changed()
            await anyio.sleep(60)
            assert (entry.status().state, entry.status().last_error) == (State.VALID, None)
            assert shown[-1] is State.VALID
            assert len(world.upstreams["one"].calls) == 1
            del world.environ["KEY"]
            held(entry).refresher.secrets_changed()
            await anyio.sleep(60)
            assert entry.status().state is State.VALID

    run_virtually(main)
