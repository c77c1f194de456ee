"""Completion of logins: a code's exchange, a device's polls, the rule of accounts, a reload and the daemon's end."""

from typing import Any

import anyio
import pytest

from tests.engine.logins.personal import ALICE, RIGHT, Personal, Stage, a_login, granted, on_stage, stage
from tests.httpd.served import logged
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.logins.login_completion import GRACE_SECONDS
from tokend.values.errors import (
    LoginRefusedError,
    LostAnswerError,
    RateLimitedError,
    RejectedError,
    StoreError,
    ThrottledError,
    TokenUnavailableError,
    TransientError,
    WrongAddressError,
)


async def _finish(stage: Stage, session: Any) -> None:
    await stage.logins.finish("one", session.login_id, uid=ALICE, redirected_to=RIGHT)


@pytest.mark.parametrize(
    "error",
    [
        LoginRefusedError("login.example: access_denied"),
        RejectedError("login.example: invalid_client"),
        LostAnswerError("login.example: the connection ended"),
        TransientError("login.example: 503", may_be_spent=True),
    ],
)
def test_a_code_that_is_refused_or_may_be_spent_ends_the_login(error: Exception) -> None:
    """The state says why, and the login that was there stays."""

    async def play(stage: Stage) -> None:
        stage.one.login = a_login(stage.clock, "before")
        session = await stage.begin()
        stage.server.script = [error]
        await _finish(stage, session)
        assert (session.state, session.error) == ("failed", str(error))
        assert (stage.one.accepted, stage.one.login.subject) == ([], "before")

    on_stage(play)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (TransientError("login.example: no connection", is_sent=False), TokenUnavailableError),
        (RateLimitedError("login.example: 429", retry_after=7), ThrottledError),
    ],
)
def test_a_code_that_is_surely_unspent_may_be_sent_again(error: Exception, raised: type[Exception]) -> None:
    """The login goes on, and the next try finishes it."""

    async def play(stage: Stage) -> None:
        session = await stage.begin()
        stage.server.script = [error, granted()]
        with pytest.raises(raised):
            await _finish(stage, session)
        assert (session.state, session.error) == ("pending", str(error))
        await _finish(stage, session)
        assert (session.state, session.error) == ("done", None)

    on_stage(play)


def test_a_device_is_asked_for_at_the_servers_interval() -> None:
    """The server may ask for longer intervals; after an error they grow, too."""

    async def play(stage: Stage) -> None:
        stage.server.latency = 0.0
        begun = stage.clock.instant()
        session = await stage.begin(flow="device")
        stage.server.script = [
            None, 10.0, TransientError("timeout"), RateLimitedError("429"), RateLimitedError("429", retry_after=90),
            TransientError("timeout"), granted(),
        ]  # fmt: skip
        await session.ended.wait()
        # 5 and 5 s, then 10; 20 after an error, 25 after a 429, 90 as it says, and never less than that.
        assert begun.until(stage.clock.instant()) == pytest.approx(5 + 5 + 10 + 20 + 25 + 90 + 90)
        assert (session.state, session.error, session.subject) == ("done", None, "alice")

    on_stage(play)


@pytest.mark.parametrize("error", [LoginRefusedError("access_denied"), RejectedError("invalid_client")])
def test_a_device_login_that_is_refused_has_failed(error: Exception) -> None:
    """`access_denied` and `expired_token` are final, and so is a refused client."""

    async def play(stage: Stage) -> None:
        session = await stage.begin(flow="device")
        stage.server.script = [error]
        await session.ended.wait()
        assert (session.state, session.error) == ("failed", str(error))
        await stage.clock.sleep(60)
        assert stage.server.asked == ["begin device", "poll"]

    on_stage(play)


def test_a_poll_that_fails_is_shown_while_the_login_goes_on() -> None:
    """And no longer, as soon as the server answers."""

    async def play(stage: Stage) -> None:
        session = await stage.begin(flow="device")
        stage.server.script = [TransientError("login.example: timeout"), None]
        await until(lambda: session.error == "login.example: timeout", seconds=10)
        await until(lambda: session.error is None, seconds=20)
        assert session.is_pending

    on_stage(play)


def test_a_login_that_was_cancelled_keeps_nothing_of_a_later_grant() -> None:
    """The poll was on its way when the person pressed Ctrl-C."""

    async def play(stage: Stage) -> None:
        session = await stage.begin(flow="device")
        stage.server.script = [granted()]
        await until(lambda: "poll" in stage.server.asked, seconds=10)
        stage.server.latency = 5.0
        stage.logins.cancel("one", session.login_id, uid=ALICE)
        await stage.clock.sleep(30)
        assert (session.state, stage.one.accepted) == ("failed", [])

    on_stage(play)


def test_a_poll_that_waits_for_a_cancelled_login_sends_nothing() -> None:
    """It looks again when it has the lock."""

    async def play(stage: Stage) -> None:
        session = await stage.begin(flow="device")
        async with session.exchange:
            await stage.clock.sleep(6)  # the poll waits for the lock
            stage.logins.cancel("one", session.login_id, uid=ALICE)
        await stage.clock.sleep(30)
        assert stage.server.asked == ["begin device"]

    on_stage(play)


# ------------------------------------------------------------------ whose account


def test_another_account_than_before_is_refused_unless_it_is_asked_for() -> None:
    """With the permission, the old token is withdrawn."""

    async def play(stage: Stage) -> None:
        stage.one.login = a_login(stage.clock, "alice")
        session = await stage.begin()
        stage.server.script = [granted("mallory")]
        await _finish(stage, session)
        assert session.state == "failed"
        assert "mallory" in session.error
        assert "tokend login one --other-account" in session.error
        assert stage.one.accepted == []
        allowed = await stage.begin(other=True)
        stage.server.script = [granted("mallory")]
        await _finish(stage, allowed)
        assert [another for _, another in stage.one.accepted] == [True]

    on_stage(play)


def test_an_account_that_another_provider_of_the_client_holds_is_refused() -> None:
    """One refresh token would end the other at many servers. Another client's login does not count."""

    async def play(stage: Stage) -> None:
        stage.holders["two"].login = a_login(stage.clock, "alice")
        stage.holders["three"].login = a_login(stage.clock, "bob", client=Personal(client_id="another").login_client)
        stage.holders["four"].login = a_login(stage.clock, None)
        session = await stage.begin()
        stage.server.script = [granted("alice")]
        await _finish(stage, session)
        assert session.error.startswith("the login of two is of the account alice already")
        session = await stage.begin()
        stage.server.script = [granted("bob")]
        await _finish(stage, session)
        assert (session.state, [another for _, another in stage.one.accepted]) == ("done", [False])

    on_stage(play)


def test_the_key_subject_pins_the_account() -> None:
    """Every other account is refused."""

    async def play(stage: Stage) -> None:
        session = await stage.begin()
        stage.server.script = [granted("bob")]
        await _finish(stage, session)
        assert 'subject = "alice"' in session.error

    on_stage(play, subject="alice")


def test_a_login_whose_address_proves_nothing_is_kept_when_the_person_confirms_the_account() -> None:
    """Once: neither another address nor a second confirmation counts."""

    async def play(stage: Stage) -> None:
        session = await stage.begin()
        with pytest.raises(WrongAddressError, match="awaits no confirmation"):
            await stage.logins.confirm("one", session.login_id, uid=ALICE)
        stage.server.script = [granted("alice")]
        await _finish(stage, session)
        assert (session.state, session.subject, session.awaits_confirmation) == ("pending", "alice", True)
        assert stage.one.accepted == []
        with pytest.raises(WrongAddressError, match="awaits a confirmation"):
            await _finish(stage, session)
        await stage.logins.confirm("one", session.login_id, uid=ALICE)
        assert (session.state, session.awaits_confirmation, len(stage.one.accepted)) == ("done", False, 1)
        with pytest.raises(WrongAddressError):
            await stage.logins.confirm("one", session.login_id, uid=ALICE)
        assert stage.server.asked == ["begin", "code"]

    on_stage(play, returns_state=False)


def test_a_login_that_nobody_confirms_leaves_nothing() -> None:
    """It is cancelled, its time is over, or its table was changed meanwhile."""

    async def play(stage: Stage) -> None:
        for end in ("cancelled", "late", "changed"):
            session = await stage.begin()
            stage.server.script = [granted("alice")]
            await _finish(stage, session)
            if end == "cancelled":
                stage.logins.cancel("one", session.login_id, uid=ALICE)
            elif end == "late":
                await until(lambda session=session: not session.is_pending, seconds=700)  # type: ignore[misc]
            else:
                stage.one.settings = Personal(client_id="another")
                await stage.logins.confirm("one", session.login_id, uid=ALICE)
                assert "the configuration was changed" in session.error
            assert (session.state in {"failed", "expired"}, session.unconfirmed) == (True, None)
        assert stage.one.accepted == []

    on_stage(play, returns_state=False)


# ------------------------------------------------------------------ reload, bugs, disk, end


@pytest.mark.parametrize("after", [Personal(client_id="another"), Personal(flows=()), object(), None])
def test_a_table_that_is_changed_meanwhile_ends_the_login(after: object) -> None:
    """What was begun for one client is not finished for another."""

    async def play(stage: Stage) -> None:
        session = await stage.begin()
        stage.holders["one"].settings = after
        if after is None:
            del stage.holders["one"]
        await _finish(stage, session)
        assert session.state == "failed"
        assert "was changed while the login was under way" in session.error
        assert stage.server.asked == ["begin"]

    on_stage(play)


def test_a_reload_that_leaves_the_client_alone_does_not_end_the_login() -> None:
    """The settings in force are used."""

    async def play(stage: Stage) -> None:
        session = await stage.begin()
        stage.holders["one"].settings = Personal(required=False)
        stage.server.script = [granted()]
        await _finish(stage, session)
        assert session.state == "done"

    on_stage(play)


@pytest.mark.parametrize("flow", ["browser", "device"])
def test_a_bug_of_a_kind_ends_its_login_and_nothing_else(flow: Any) -> None:
    """The daemon goes on, and other logins begin."""

    async def play(stage: Stage) -> None:
        session = await stage.begin(flow=flow)
        stage.server.script = [KeyError("fake")]
        if flow == "browser":
            with pytest.raises(KeyError):
                await _finish(stage, session)
        else:
            await session.ended.wait()
        assert (session.state, "bug" in session.error) == ("failed", True)
        await stage.begin("two")

    on_stage(play)


@pytest.mark.parametrize("error", [StoreError("state: no space left"), ValueError("fake")])
def test_a_login_that_cannot_be_kept_has_failed(error: Exception) -> None:
    """Nobody is made to believe that it was."""

    async def play(stage: Stage) -> None:
        stage.one.broken = error
        session = await stage.begin()
        stage.server.script = [granted()]
        if isinstance(error, StoreError):
            await _finish(stage, session)
            assert session.error == "state: no space left"
        else:
            with pytest.raises(ValueError, match="fake"):
                await _finish(stage, session)
        assert session.state == "failed"

    on_stage(play)


@pytest.mark.parametrize(("latency", "kept"), [(GRACE_SECONDS - 1, True), (GRACE_SECONDS + 1, False)])
@pytest.mark.parametrize("flow", ["browser", "device"])
def test_an_exchange_under_way_has_a_few_seconds_when_the_daemon_ends(latency: float, kept: bool, flow: Any) -> None:
    """An answer that comes in time is kept; the end waits no longer."""

    async def main(clock: VirtualClock) -> None:
        async with stage(clock) as made, anyio.create_task_group() as persons:
            session = await made.begin(flow=flow)
            made.server.script, made.server.latency = [granted()], latency
            if flow == "browser":
                persons.start_soon(_ignoring_the_end, made, session)
            await until(lambda: len(made.server.asked) == 2, seconds=10)
            stopped = clock.instant()
            made.tasks.cancel_scope.cancel()
        assert bool(made.one.accepted) is kept
        assert stopped.until(clock.instant()) <= GRACE_SECONDS + 0.2

    run_virtually(main)


async def _ignoring_the_end(stage: Stage, session: Any) -> None:
    try:
        await _finish(stage, session)
    except TokenUnavailableError as error:
        assert "the daemon stops" in str(error)


def test_the_log_has_neither_words_of_the_server_nor_accounts() -> None:
    """Both are for the person; a server could write anything into the log otherwise."""

    async def play(stage: Stage) -> None:
        error = LoginRefusedError("login.example: access_denied")
        error.said = "planted words"
        with logged() as lines:
            for answer in (error, granted("planted-account")):
                session = await stage.begin()
                stage.server.script = [answer]
                await _finish(stage, session)
            stage.one.login = stage.one.login or a_login(stage.clock)
            stage.server.script = [RejectedError("invalid_client")]
            stage.server.script[0].said = "planted words"
            answer_to_logout = await stage.logins.log_out("one", uid=ALICE, force=False)
        assert "planted words" in str(answer_to_logout.detail)
        assert [line["event"] for line in lines if line["event"] in ("login.failed", "login.done")] != []
        assert "planted" not in str(lines)
        assert "access_denied" in str(lines)

    on_stage(play)
