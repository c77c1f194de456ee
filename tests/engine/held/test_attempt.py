"""A token given to begin with, tokens that nobody can renew, and tokens whose end is moved."""

import anyio

from tests.expecting import held, present
from tests.fakes import HOUR, FakeGiven, FakeHeld, FakeRuntime, World, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import RejectedError
from tokend.values.status import State
from tokend.values.tokens import Token

GIVEN = SecretSource(env="GIVEN")


def test_a_given_token_is_used_while_valid_and_credentials_take_over() -> None:
    """docs/vendors.md, projectx: initial_token."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"GIVEN": "fake-given"})
        async with world.running(provider("a", FakeGiven(given=GIVEN))) as supervisor:
            await anyio.sleep(60)
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-given"
            assert world.upstreams["one"].calls == []
            await anyio.sleep(HOUR)
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-token-1"
            assert supervisor.entries["a"].status().note is None

    run_virtually(main)


def test_without_credentials_it_is_served_until_it_expires_and_status_says_so() -> None:
    """No request, no refresh; and a restart gives it no second life. After its end a person must act."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"GIVEN": "fake-given"})
        settings = FakeGiven(given=GIVEN, renewable=False)
        async with world.running(provider("a", settings)) as supervisor:
            await anyio.sleep(0.99 * HOUR)
            status = supervisor.entries["a"].status()
            assert (status.valid, status.next_attempt_at) == (True, None)
            assert present(status.note).endswith("it is served until it expires")
            await anyio.sleep(0.02 * HOUR)
            assert "a person must give another token" in present(supervisor.entries["a"].status().note)
            assert supervisor.entries["a"].status().state is State.REJECTED
        async with world.running(provider("a", settings)) as supervisor:
            await anyio.sleep(60)
            assert supervisor.entries["a"].status().state is State.REJECTED
            assert supervisor.outcome() == 4
        # Another token in the settings is a new beginning, while the daemon runs and at a start.
        for given, restart in (("fake-second", True), ("fake-third", False)):
            if restart:
                world.environ["GIVEN"] = given
            async with world.running(provider("a", settings)) as supervisor:
                await anyio.sleep(10)
                world.environ["GIVEN"] = given
                held(supervisor.entries["a"]).refresher.secrets_changed()
                await anyio.sleep(10)
                assert present(supervisor.entries["a"].lease).token.value.reveal() == given
                status = supervisor.entries["a"].status()
                assert (status.state, status.failures, status.last_error) == (State.VALID, 0, None)
        assert world.upstreams["one"].calls == []

    run_virtually(main)


def test_a_given_token_is_no_way_around_a_rejection() -> None:
    """It proves nothing about the credentials."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"GIVEN": ""})
        up = world.upstreams["one"]
        up.broken = lambda now: RejectedError("no")
        for given in ("", "fake-given", "fake-given"):
            world.environ["GIVEN"] = given
            async with world.running(provider("a", FakeGiven(given=GIVEN))) as supervisor:
                await anyio.sleep(2 * HOUR)
                assert supervisor.entries["a"].status().state is State.REJECTED
        assert len(up.calls) == 1

    run_virtually(main)


def test_a_given_token_that_cannot_be_read_is_no_obstacle() -> None:
    """It may be absent; then the credentials begin."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeGiven(given=GIVEN))) as supervisor:
            await anyio.sleep(10)
            assert supervisor.entries["a"].status().state is State.VALID
            assert await supervisor.request_id("a") == "fake-request-id"

    run_virtually(main)


def test_an_unusable_token_is_neither_kept_nor_served() -> None:
    """It is a failed attempt; the next token is the first."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].script = ["one\r\ntwo"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await until(lambda: supervisor.entries["a"].status().last_error is not None, seconds=10)
            status = supervisor.entries["a"].status()
            assert supervisor.entries["a"].lease is None
            assert present(status.last_error).reason == "transient"
            assert "the kind made an unusable token: its value holds control" in present(status.last_error).detail
            await until(lambda: supervisor.ready, seconds=60)
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-token-1"

    run_virtually(main)


def test_an_unusable_given_token_is_not_used() -> None:
    """The credentials take over at once."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"GIVEN": "fake given\x01"})
        async with world.running(provider("a", FakeGiven(given=GIVEN))) as supervisor:
            await until(lambda: supervisor.ready, seconds=60)
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-token-1"

    run_virtually(main)


def test_an_exit_in_fetch_is_a_bug_of_its_kind() -> None:
    """The event loop would end with it, and so the daemon."""

    class Exits(FakeHeld):
        async def fetch(self, runtime: object, previous: object) -> Token:
            raise SystemExit(3)

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", Exits()), provider("b", FakeHeld())) as supervisor:
            await until(lambda: supervisor.entries["b"].lease is not None, seconds=5)
            detail = present(supervisor.entries["a"].status().last_error).detail
            assert detail == f"a bug in kind fake ({__name__}); the log has its traceback"

    run_virtually(main)


def test_settings_without_a_given_token_begin_with_a_login() -> None:
    """``initial`` returns None, as projectx does without ``initial_token``."""

    class WithoutToken(FakeGiven):
        async def initial(self, runtime: FakeRuntime) -> Token | None:
            return None

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"GIVEN": "fake-unused"})
        async with world.running(provider("a", WithoutToken(given=GIVEN))) as supervisor:
            await anyio.sleep(10)
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-token-1"
        assert len(world.upstreams["one"].calls) == 1

    run_virtually(main)
