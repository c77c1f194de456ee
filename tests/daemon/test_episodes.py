"""Episodes begin once and end once, whatever is seen in between."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tokend.daemon.episodes import SINK_SECONDS, Cause, Episodes, News, causes_of
from tokend.values.instant import Instant
from tokend.values.status import Failure, LoginStatus, ProviderStatus, SinkStatus, State

AT = datetime(2026, 1, 1, tzinfo=UTC)
NOW = Instant(AT, 1000.0)
REJECTED = {"credentials": Cause("rejected", "wrong key")}
FAILING = {"raw-1": Cause("sink_failing", "raw-1: full", SINK_SECONDS)}


def row(
    state: State, *, error: datetime | None = None, expires: datetime | None = None, sink: str = "ok"
) -> ProviderStatus:
    """A status with an error of that moment, and a sink of that state."""
    failure = None if error is None else Failure("rejected", "the vendor refuses the key", error)
    sinks = (SinkStatus("raw", "raw-1", "/x", "/x", sink, True, None, None if sink in ("ok", "removed") else "full"),)
    return ProviderStatus(
        "a", "jwt", state, state is State.VALID, expires, None, 1, "0" * 12, True, None, 1, failure, None, sinks
    )  # fmt: skip


LOGIN = LoginStatus("required", "somebody", AT, None, (), "tokend login a", ())


def test_an_episode_is_news_at_its_begin_and_at_its_end() -> None:
    """However often it is seen; the next one is another."""
    episodes = Episodes()
    for _ in range(2):
        assert list(episodes.update("a", REJECTED, NOW)) == [News("rejected", "a", "wrong key")]
        assert list(episodes.update("a", REJECTED, NOW)) == []
        assert list(episodes.update("b", {}, NOW)) == []
        assert list(episodes.update("a", {}, NOW)) == [News("recovered", "a", "credentials: rejected is over")]
        assert list(episodes.update("a", {}, NOW)) == []


def test_a_cause_must_last() -> None:
    """A write that succeeds a second later is no news."""
    episodes = Episodes()
    assert list(episodes.update("a", FAILING, NOW)) == []
    assert episodes.waiting() == frozenset({"a"})
    assert episodes.begins_at() == NOW.after(SINK_SECONDS)
    assert list(episodes.update("a", {}, NOW.after(1))) == []
    assert (episodes.waiting(), episodes.begins_at()) == (frozenset(), None)
    assert list(episodes.update("a", FAILING, NOW.after(2))) == []
    assert list(episodes.update("a", FAILING, NOW.after(6.9))) == []
    assert [one.event for one in episodes.update("a", FAILING, NOW.after(7))] == ["sink_failing"]
    assert [one.event for one in episodes.update("a", {}, NOW.after(8))] == ["recovered"]


def test_a_silent_begin_has_an_end_that_is_news() -> None:
    """The daemon reported the begin before its restart."""
    episodes = Episodes()
    assert list(episodes.update("a", {"credentials": Cause("rejected", "x", silent=True)}, NOW)) == []
    assert [one.event for one in episodes.update("a", {}, NOW)] == ["recovered"]


@pytest.mark.parametrize(
    ("status", "causes"),
    [
        (row(State.VALID, expires=AT), {}),
        (row(State.FAILING, error=AT), {}),
        (row(State.PENDING, error=AT), {}),
        (row(State.ON_DEMAND), {}),
        (row(State.REJECTED, error=AT), {"credentials": ("rejected", False)}),
        # Of a login a notice is the begin; a kind without one has no notices.
        (replace(row(State.LOGIN_REQUIRED, error=AT), login=LOGIN), {"credentials": ("login_required", True)}),
        (row(State.LOGIN_REQUIRED, error=AT), {"credentials": ("login_required", False)}),
        (row(State.REJECTED, error=AT - timedelta(hours=1)), {"credentials": ("rejected", True)}),
        (row(State.REJECTED), {"credentials": ("rejected", True)}),
        (row(State.EXPIRED, error=AT, expires=AT - timedelta(hours=1)), {"token": ("expired", False)}),
        (row(State.EXPIRED, expires=AT + timedelta(hours=1)), {"token": ("expired", False)}),
        (row(State.EXPIRED, expires=AT - timedelta(hours=1)), {}),
        (row(State.EXPIRED), {"token": ("expired", False)}),
        (row(State.VALID, sink="failing"), {"raw-1": ("sink_failing", False)}),
        (row(State.VALID, sink="conflict"), {"raw-1": ("sink_failing", False)}),
        (row(State.VALID, sink="pending"), {}),
        (row(State.VALID, sink="removed"), {}),
    ],
)  # fmt: skip
def test_what_a_person_should_know(status: ProviderStatus, causes: dict[str, tuple[str, bool]]) -> None:
    """An episode before the start was reported then; a token that ended meanwhile may be replaced in a second."""
    found = causes_of(status, AT)
    assert {key: (one.event, one.silent) for key, one in found.items()} == causes
    assert all(one.detail for one in found.values())


def test_the_detail_is_the_operators_sentence() -> None:
    """Not what the vendor said, which is for admins alone."""
    status = replace(
        row(State.REJECTED, error=AT), last_error=Failure("rejected", "the key is refused", AT, "vendor text")
    )
    assert causes_of(status, AT)["credentials"].detail == "the key is refused"


def test_credentials_are_right_again_when_a_token_came_by_them() -> None:
    """Not as soon as somebody has changed a file; that the old token has ended meanwhile is no news beside it."""
    episodes = Episodes()
    assert len(list(episodes.update("a", REJECTED, NOW, well=False))) == 1
    expired = {"token": Cause("expired", "it has ended")}
    for causes in ({}, expired, REJECTED, {}):
        assert list(episodes.update("a", causes, NOW, well=False)) == []
    assert [one.event for one in episodes.update("a", {}, NOW)] == ["recovered"]
    assert [one.event for one in episodes.update("a", expired, NOW, well=False)] == ["expired"]
    assert [one.event for one in episodes.update("a", {}, NOW)] == ["recovered"]


def test_scopes_that_a_login_lacks_are_an_episode() -> None:
    """Silent where the daemon has just started: the one before has reported it."""
    login = LoginStatus("ok", "somebody", AT, None, ("write",), "tokend login a", ())
    lacking = replace(row(State.VALID), login=login)
    told = causes_of(lacking, AT)["scopes"]
    assert told == Cause("scopes_missing", "scopes missing: write \N{EM DASH} tokend login a", command="tokend login a")
    assert [one.command for one in Episodes().update("a", {"scopes": told}, NOW)] == ["tokend login a"]
    assert causes_of(lacking, AT, is_first=True)["scopes"].silent
    assert causes_of(replace(lacking, login=replace(login, scopes_missing=())), AT) == {}
