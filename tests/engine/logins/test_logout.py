"""The end of a login: here at once, at the server when it confirms."""

from dataclasses import replace

import anyio
import pytest

from tests.engine.logins.personal import BOB, Personal, Stage, a_login, on_stage
from tests.fakes import FakeHeld
from tokend.engine.context.contract import LogoutAnswer
from tokend.engine.logins.logout import REVOCATION_SECONDS
from tokend.values.errors import (
    LoginRefusedError,
    NotSupportedError,
    RateLimitedError,
    RejectedError,
    TransientError,
    UnknownTokenError,
)
from tokend.values.secret import Secret


async def _log_out(stage: Stage, *, force: bool = False) -> LogoutAnswer:
    return await stage.logins.log_out("one", uid=BOB, force=force)


def test_a_logout_that_the_server_confirms_drops_the_login() -> None:
    """The token is withdrawn before anything is sent."""

    async def play(stage: Stage) -> None:
        stage.one.login = a_login(stage.clock)
        assert await _log_out(stage) == LogoutAnswer(confirmed=True, dropped=True)
        assert (stage.holders["one"].login, stage.one.withdrawn) == (None, 1)
        assert not stage.one.logged_out
        assert stage.server.asked == ["revoke fake-refresh-token"]

    on_stage(play)


def test_a_logout_without_an_address_to_revoke_at_drops_the_login() -> None:
    """There is nobody to ask."""

    async def play(stage: Stage) -> None:
        stage.one.login = a_login(stage.clock)
        assert await _log_out(stage) == LogoutAnswer(confirmed=True, dropped=True)
        assert (stage.server.asked, stage.one.logged_out) == ([], [])

    on_stage(play, revocable=False)


def test_a_login_without_a_refresh_token_has_nothing_to_be_revoked() -> None:
    """Its token is withdrawn."""

    async def play(stage: Stage) -> None:
        stage.one.login = replace(a_login(stage.clock), refresh_token=None)
        assert await _log_out(stage) == LogoutAnswer(confirmed=True, dropped=True)
        assert (stage.one.withdrawn, stage.server.asked, stage.one.logged_out) == (1, [], [])

    on_stage(play)


def test_a_server_that_is_away_is_asked_for_half_a_minute_and_the_login_is_kept_aside() -> None:
    """The next logout tries again, although no login is in use any more."""

    async def play(stage: Stage) -> None:
        stage.one.login = a_login(stage.clock)
        stage.server.script = [TransientError("no connection")] * 20
        before = stage.clock.instant()
        answer = await _log_out(stage)
        assert before.until(stage.clock.instant()) == pytest.approx(REVOCATION_SECONDS)
        assert (answer.confirmed, answer.dropped) == (False, False)
        assert answer.detail is not None
        assert answer.detail.startswith("login.example did not confirm: still valid there (no connection)")
        assert "tokend logout one --force" in answer.detail
        assert 3 <= len(stage.server.asked) <= 6
        assert len(stage.one.logged_out) == 1
        stage.server.script = [TransientError("no connection"), None]
        assert await _log_out(stage) == LogoutAnswer(confirmed=True, dropped=True)

    on_stage(play)


def test_a_server_that_never_answers_is_given_up() -> None:
    """The half minute is the limit of one exchange, too."""

    async def play(stage: Stage) -> None:
        stage.one.login, stage.server.latency = a_login(stage.clock), 300.0
        answer = await _log_out(stage)
        assert answer.detail is not None
        assert "no answer in time" in answer.detail

    on_stage(play)


@pytest.mark.parametrize("error", [RejectedError("invalid_client"), LoginRefusedError("invalid_token")])
def test_a_server_that_refuses_is_not_asked_again(error: Exception) -> None:
    """A refusal is an answer."""

    async def play(stage: Stage) -> None:
        stage.one.login, stage.server.script = a_login(stage.clock), [error]
        assert (await _log_out(stage)).dropped is False
        assert len(stage.server.asked) == 1

    on_stage(play)


def test_a_pause_that_the_server_asks_for_is_kept() -> None:
    """It is not asked before."""

    async def play(stage: Stage) -> None:
        stage.one.login = a_login(stage.clock)
        stage.server.script = [RateLimitedError("429"), RateLimitedError("429", retry_after=12), None]
        before = stage.clock.instant()
        assert (await _log_out(stage)).confirmed
        assert before.until(stage.clock.instant()) > 13

    on_stage(play)


def test_a_logout_drops_no_login_that_a_later_one_has_ended() -> None:
    """The first is confirmed while the second is still to be revoked."""

    async def play(stage: Stage) -> None:
        stage.server.latency, stage.one.login = 10.0, a_login(stage.clock)
        stage.server.script = [None, *[TransientError("no connection")] * 9]
        later = replace(a_login(stage.clock), refresh_token=Secret("fake-later"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_log_out, stage)
            await anyio.sleep(1)
            stage.one.login = later
            tasks.start_soon(_log_out, stage)
            await anyio.sleep(9.5)
            assert stage.one.logged_out == [later]
        assert stage.one.logged_out == [later]

    on_stage(play)


def test_force_drops_what_nobody_has_confirmed_and_says_so() -> None:
    """The server is asked once."""

    async def play(stage: Stage) -> None:
        stage.one.login, stage.server.script = a_login(stage.clock), [TransientError("no connection")] * 2
        answer = await _log_out(stage, force=True)
        assert (answer.confirmed, answer.dropped, len(stage.server.asked)) == (False, True, 1)
        assert answer.detail == "login.example did not confirm: still valid there (no connection)"
        assert stage.one.logged_out == []

    on_stage(play)


def test_a_table_without_flows_still_logs_out_and_a_kind_without_login_does_not() -> None:
    """The first has a login; the second has a token only."""

    async def play(stage: Stage) -> None:
        stage.one.settings, stage.one.login = Personal(flows=()), a_login(stage.clock)
        assert (await _log_out(stage)).dropped
        stage.one.settings = FakeHeld()
        with pytest.raises(NotSupportedError, match="tokend forget one"):
            await _log_out(stage)
        with pytest.raises(UnknownTokenError):
            await stage.logins.log_out("five", uid=BOB, force=False)

    on_stage(play)
