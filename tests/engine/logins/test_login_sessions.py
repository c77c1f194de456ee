"""Logins under way: who may do what, how many there are, and for how long."""

from typing import Any

import anyio
import pytest

from tests.engine.logins.personal import ALICE, BOB, RIGHT, WRONG, Personal, Stage, granted, on_stage
from tests.fakes import WORLDS
from tests.virtual import until
from tokend.engine.logins.login_sessions import LOGIN_SECONDS, MOST_ENDED
from tokend.plugin.login import BrowserLogin, DeviceLogin
from tokend.values.errors import (
    LoginRequiredError,
    NotSupportedError,
    RejectedError,
    ThrottledError,
    TokenUnavailableError,
    TransientError,
    UnknownTokenError,
    WrongAddressError,
)


def test_a_login_begins_by_the_flow_that_the_provider_prefers() -> None:
    """Without a flow, the first one; a flow that the settings lack is refused."""

    async def play(stage: Stage) -> None:
        session = await stage.begin()
        assert (session.flow, session.state) == ("browser", "pending")
        assert isinstance(session.begun, BrowserLogin)
        assert session.begun.redirect_uri == "http://127.0.0.1:8400/"
        assert len(session.login_id) == 32  # 192 bits
        by_device = await stage.begin("two", flow="device")
        assert isinstance(by_device.begun, DeviceLogin)
        stage.holders["three"].settings = Personal(flows=("device",))
        with pytest.raises(NotSupportedError, match="only by device"):
            await stage.begin("three", flow="browser")

    on_stage(play)


def test_none_begins_while_the_record_cannot_be_opened() -> None:
    """What a person would bring could not be kept beside the login that may be in there."""

    async def play(stage: Stage) -> None:
        WORLDS[-1].state.unopened["one"] = "it is sealed with another key"
        with pytest.raises(TokenUnavailableError, match="tokend logout one drops it"):
            await stage.begin()
        assert stage.server.asked == []
        await stage.begin("two")

    on_stage(play)


def test_one_login_at_a_time_for_a_provider_and_three_in_all() -> None:
    """More are refused until one ends; the refusal says when that is at the latest."""

    async def play(stage: Stage) -> None:
        first = await stage.begin()
        with pytest.raises(ThrottledError, match="a login of one is under way already") as refused:
            await stage.begin(uid=BOB)
        assert refused.value.retry_at == first.expires_at.wall.timestamp()
        await stage.begin("two")
        await stage.begin("three")
        with pytest.raises(ThrottledError, match="3 logins are under way already") as refused:
            await stage.begin("four")
        assert refused.value.retry_at == first.expires_at.wall.timestamp()
        stage.logins.cancel("one", first.login_id, uid=ALICE)
        await stage.begin("four")

    on_stage(play)


def test_a_login_that_is_just_beginning_counts() -> None:
    """Two requests at once do not both begin."""

    async def play(stage: Stage) -> None:
        refused = []

        async def begin(name: str) -> None:
            try:
                await stage.begin(name)
            except ThrottledError as error:
                refused.append(error.retry_at)

        async with anyio.create_task_group() as both:
            for name in ("one", "one", "two", "three", "four"):
                both.start_soon(begin, name)
        assert refused == [None, None]
        assert stage.server.asked == ["begin"] * 3

    on_stage(play)


def test_only_the_uid_that_began_a_login_finds_finishes_and_cancels_it() -> None:
    """Another uid gets the answer that an unknown id gets, and the login goes on."""

    async def play(stage: Stage) -> None:
        session = await stage.begin()
        stage.server.script = [granted()]
        texts = set()
        for name, login_id, uid in (
            ("one", session.login_id, BOB),
            ("two", session.login_id, ALICE),
            ("one", "x", ALICE),
        ):
            for method in (stage.logins.find, stage.logins.cancel):
                with pytest.raises(UnknownTokenError) as refused:
                    method(name, login_id, uid=uid)
                texts.add(str(refused.value).replace("two", "one"))
            with pytest.raises(UnknownTokenError):
                await stage.logins.finish(name, login_id, uid=uid, redirected_to=RIGHT)
        assert len(texts) == 1
        assert session.is_pending
        assert (await stage.logins.finish("one", session.login_id, uid=ALICE, redirected_to=RIGHT)).state == "done"

    on_stage(play)


def test_an_address_of_another_login_changes_nothing() -> None:
    """A wrong state, however often: nothing is sent, and the right address still finishes the login, once."""

    async def play(stage: Stage) -> None:
        session = await stage.begin()
        stage.server.script = [granted()]
        for _ in range(5):
            with pytest.raises(WrongAddressError, match="another login"):
                await stage.logins.finish("one", session.login_id, uid=ALICE, redirected_to=WRONG)
        assert (stage.server.asked, session.state) == (["begin"], "pending")
        await stage.logins.finish("one", session.login_id, uid=ALICE, redirected_to=RIGHT)
        assert (session.state, session.subject, session.begun) == ("done", "alice", None)
        with pytest.raises(WrongAddressError, match=r"has ended \(done\)"):
            await stage.logins.finish("one", session.login_id, uid=ALICE, redirected_to=RIGHT)
        assert len(stage.one.accepted) == 1

    on_stage(play)


def test_two_browsers_at_once_finish_a_login_once() -> None:
    """The second address is refused without a request."""

    async def play(stage: Stage) -> None:
        session = await stage.begin()
        stage.server.script = [granted(), granted("mallory")]
        ends: list[str] = []

        async def finish() -> None:
            try:
                await stage.logins.finish("one", session.login_id, uid=ALICE, redirected_to=RIGHT)
                ends.append("done")
            except WrongAddressError:
                ends.append("refused")

        async with anyio.create_task_group() as both:
            both.start_soon(finish)
            both.start_soon(finish)
        assert sorted(ends) == ["done", "refused"]
        assert (stage.server.asked, session.subject) == (["begin", "code"], "alice")

    on_stage(play)


def test_a_login_expires_after_ten_minutes_and_keeps_no_secret() -> None:
    """Its client is answered, and another one may begin."""

    async def play(stage: Stage) -> None:
        session = await stage.begin()
        await stage.clock.sleep(LOGIN_SECONDS - 1)
        assert session.is_pending
        await stage.clock.sleep(2)
        assert (session.state, session.begun, session.ended.is_set()) == ("expired", None, True)
        assert stage.logins.find("one", session.login_id, uid=ALICE).error is not None
        await stage.begin()

    on_stage(play)


def test_an_address_that_came_in_time_is_exchanged_although_the_time_is_over_meanwhile() -> None:
    """What was sent is waited for."""

    async def play(stage: Stage) -> None:
        session = await stage.begin()
        stage.server.script, stage.server.latency = [granted()], 20.0
        await stage.clock.sleep(LOGIN_SECONDS - 1)
        assert (await stage.logins.finish("one", session.login_id, uid=ALICE, redirected_to=RIGHT)).state == "done"

    on_stage(play)


def test_a_device_code_that_ends_earlier_ends_the_login() -> None:
    """The server's own end counts, if it is before the ten minutes."""

    async def play(stage: Stage) -> None:
        stage.server.device_seconds = 60.0
        session = await stage.begin(flow="device")
        assert stage.clock.instant().until(session.expires_at) == pytest.approx(60.0)
        await until(lambda: session.state == "expired", seconds=61)

    on_stage(play)


def test_what_has_ended_stays_as_it_is_and_the_oldest_are_forgotten() -> None:
    """A cancellation after the end changes nothing; the daemon shows the last ones only."""

    async def play(stage: Stage) -> None:
        first = await stage.begin()
        stage.logins.cancel("one", first.login_id, uid=ALICE)
        assert (first.state, first.error) == ("failed", "it was cancelled")
        stage.server.script = [None, granted()]
        second = await stage.begin()
        await stage.logins.finish("one", second.login_id, uid=ALICE, redirected_to=RIGHT)
        assert stage.logins.cancel("one", second.login_id, uid=ALICE).state == "done"
        for _ in range(MOST_ENDED):
            stage.logins.cancel("one", (await stage.begin()).login_id, uid=ALICE)
        with pytest.raises(UnknownTokenError):
            stage.logins.find("one", first.login_id, uid=ALICE)

    on_stage(play)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (TransientError("no connection", is_sent=False), TokenUnavailableError),
        (RejectedError("the client is refused"), LoginRequiredError),
    ],
)
def test_a_login_that_does_not_begin_takes_no_place(error: Exception, raised: type[Exception]) -> None:
    """The person gets the reason, and may try again."""

    async def play(stage: Stage) -> None:
        stage.server.script = [error]
        with pytest.raises(raised, match=str(error)):
            await stage.begin()
        await stage.begin()

    on_stage(play)


def test_a_device_login_takes_no_address_and_an_unknown_token_no_login() -> None:
    """Each is an error of the request."""

    async def play(stage: Stage) -> None:
        session = await stage.begin(flow="device")
        with pytest.raises(NotSupportedError, match="on another device"):
            await stage.logins.finish("one", session.login_id, uid=ALICE, redirected_to=RIGHT)
        with pytest.raises(UnknownTokenError):
            await stage.begin("five")
        stage.holders["two"].settings = object()
        with pytest.raises(NotSupportedError, match="nobody can log in"):
            await stage.begin("two")

    on_stage(play)


def test_a_logout_ends_the_login_under_way() -> None:
    """Otherwise it would be undone by a browser that is still open."""

    async def play(stage: Stage) -> None:
        session = await stage.begin()
        under_way: list[Any] = [stage.logins.pending_for("one")]
        assert under_way == [session]
        await stage.logins.log_out("one", uid=BOB, force=False)
        assert (session.is_pending, stage.logins.pending_for("one")) == (False, None)
        await stage.logins.log_out("one", uid=BOB, force=False)
        assert stage.one.withdrawn == 2

    on_stage(play)
