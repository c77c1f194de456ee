"""Names of users and groups: looked up in threads and ahead of time; the last answer serves meanwhile."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from tests.api.fake_engine import FakeHeld
from tokend.access import names as module
from tokend.access.names import Kind, Name, NamesAhead, NamesInPlace
from tokend.access.peer import Peer
from tokend.access.policy import AccessPolicy
from tokend.access.socket_scope import SocketScope
from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.settings import Access, LoginAccess

T = TypeVar("T")
ROOT, WHEEL = Name(Kind.USER, "root"), Name(Kind.GROUP, "root")
UNKNOWN, NUMBER = Name(Kind.USER, "no-such-user-here"), Name(Kind.USER, "4711")
STRANGER = Peer(54321, frozenset((54321,)))


class SlowDirectory(ThreadPool):
    """Threads whose calls wait until the directory service answers; `fails` makes the next calls time out."""

    def __init__(self) -> None:
        super().__init__(4)
        self.answers = threading.Event()
        self.calls = 0
        self.fails = False

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        self.calls += 1
        if self.fails:
            raise TimeoutError("32 threads hang already")

        def wait() -> T:
            assert self.answers.wait(10)
            return call()

        return await super().run(wait, seconds=seconds)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(10):
            await scenario()

    asyncio.run(within())


def test_names_are_answered_by_the_user_database() -> None:
    """Users and groups apart; a number is its own unless it is a name; an unknown name has none."""

    async def scenario() -> None:
        ahead, place = NamesAhead(ThreadPool(2)), NamesInPlace()
        every = [ROOT, WHEEL, UNKNOWN, NUMBER]
        assert ahead.unanswered(every) == every
        assert not ahead.any_unanswered
        ahead.follow(every)
        assert ahead.any_unanswered
        await ahead.wait(every, seconds=5)
        assert not ahead.any_unanswered
        await ahead.wait([], seconds=5)
        for names in (ahead, place):
            assert [names.number(one) for one in every] == [0, 0, None, 4711]
            assert [names.number(one) for one in every] == [0, 0, None, 4711]
        assert list(place.unanswered(every)) == []
        await place.wait(every, seconds=5)
        assert not place.any_unanswered

    run(scenario)


def test_the_last_answer_serves_while_the_directory_is_away() -> None:
    """A name that was never answered is nobody's; a number is its own. Each name is looked up once at a time."""

    async def scenario() -> None:
        directory = SlowDirectory()
        names = NamesAhead(directory)
        names.follow([ROOT])
        assert names.number(ROOT) is None
        assert names.number(NUMBER) == 4711
        await names.wait([ROOT], seconds=0.01)
        assert directory.calls == 2
        assert names.unanswered([ROOT]) == [ROOT]
        directory.answers.set()
        await names.wait([ROOT, NUMBER], seconds=5)
        assert names.number(ROOT) == 0
        directory.fails = True
        names._begin(ROOT)
        await names.wait([ROOT], seconds=5)
        assert names.number(ROOT) == 0

    run(scenario)


def test_an_answer_after_its_time_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that needs longer than a thread is given is slow, and not wrong."""
    monkeypatch.setattr(module, "LOOKUP_SECONDS", 0.01)

    async def scenario() -> None:
        directory = SlowDirectory()
        names = NamesAhead(directory)
        names.follow([ROOT])
        await names.wait([ROOT], seconds=5)
        assert names.number(ROOT) is None
        directory.answers.set()
        while names.unanswered([ROOT]):
            await asyncio.to_thread(threading.Event().wait, 0.01)
        assert names.number(ROOT) == 0

    run(scenario)


def test_followed_names_are_looked_up_again_and_forgotten_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of the user database is noticed; a reload that drops a name drops its answer."""
    monkeypatch.setattr(module, "KEPT_SECONDS", 0.01)
    monkeypatch.setattr(module, "UNKNOWN_SECONDS", 0.01)

    async def scenario() -> None:
        directory = SlowDirectory()
        directory.answers.set()
        names = NamesAhead(directory)
        names.follow([ROOT, UNKNOWN])
        keeping = asyncio.create_task(names.keep_fresh())
        while directory.calls < 6:
            await asyncio.to_thread(threading.Event().wait, 0.01)
        names.follow([ROOT])
        assert names.unanswered([ROOT, UNKNOWN]) == [UNKNOWN]
        keeping.cancel()

    run(scenario)


def test_an_unknown_name_is_looked_up_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """The account may be made any moment; a known name is not asked for meanwhile."""
    # Names of this test alone: a thread of an earlier one may still look its own up.
    known, new = Name(Kind.USER, "fake-known"), Name(Kind.USER, "fake-new")
    monkeypatch.setattr(module, "UNKNOWN_SECONDS", 0.01)
    looked_up: list[str] = []

    def look_up(name: Name) -> int | None:
        looked_up.append(name.text)
        return 0 if name == known or looked_up.count(name.text) > 3 else None

    monkeypatch.setattr(module, "_look_up", look_up)

    async def scenario() -> None:
        directory = SlowDirectory()
        directory.answers.set()
        names = NamesAhead(directory)
        names.follow([known, new])
        keeping = asyncio.create_task(names.keep_fresh())
        while names.number(new) is None:
            await asyncio.to_thread(threading.Event().wait, 0.01)
        assert looked_up.count(known.text) == 1
        keeping.cancel()

    run(scenario)


def policy(directory: SlowDirectory) -> AccessPolicy:
    return AccessPolicy(lambda: ("root", "no-such-admin"), own_uid=3, names=NamesAhead(directory))


def test_a_request_waits_only_for_names_that_decide_about_it() -> None:
    """Not for an open token, nor for root, nor where another rule lets the peer in."""

    async def scenario() -> None:
        directory = SlowDirectory()
        rules = policy(directory)
        hidden = FakeHeld(access=Access(users=("4711", "some-user"), groups=("some-group",)))
        login = LoginAccess(users=("4712", "some-user"))
        with_login = FakeHeld(access=Access(users=("4711",), login=login))
        assert not rules.is_unsettled
        async with asyncio.timeout(10):
            await rules.settle(STRANGER, [FakeHeld()])
            await rules.settle(Peer(0, frozenset()), [hidden], admins=True)
            await rules.settle(Peer(4711, frozenset()), [hidden])
            await rules.settle(Peer(4711, frozenset()), [with_login])
            await rules.settle(Peer(4712, frozenset()), [with_login], login=True)
        to_log_in = asyncio.create_task(rules.settle(Peer(4711, frozenset()), [with_login], login=True))
        assert rules.has_kept_place(0)
        assert rules.has_kept_place(3)
        assert not rules.has_kept_place(4711)
        waiting = asyncio.create_task(rules.settle(STRANGER, [hidden], admins=True))
        scoped = Peer(0, frozenset(), scope=SocketScope(("*",)))
        as_well = asyncio.create_task(rules.settle(scoped, [hidden]))
        await asyncio.to_thread(threading.Event().wait, 0.05)
        assert not waiting.done()
        assert not as_well.done()
        assert not to_log_in.done()
        directory.answers.set()
        await waiting
        await as_well
        await to_log_in
        assert not rules.may_read(STRANGER, hidden)

    run(scenario)


def test_a_name_that_is_never_answered_is_nobodys_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request goes on with what is known."""
    monkeypatch.setattr("tokend.access.policy.NAME_SECONDS", 0.05)

    async def scenario() -> None:
        directory = SlowDirectory()
        rules = policy(directory)
        await rules.settle(STRANGER, [FakeHeld(access=Access(users=("root",)))])
        assert not rules.may_read(Peer(os.getuid() + 1, frozenset()), FakeHeld(access=Access(users=("root",))))
        directory.answers.set()

    run(scenario)
