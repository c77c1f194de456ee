"""All sinks of a host pause together and come back in turn."""

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from tests.expecting import present
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.context.host_backoff import FIRST_AT_ONCE, MOST_AT_ONCE, HostBackoff
from tokend.values.errors import SinkError, SinkUnavailableError

HOST = "store.example:443"


def with_hosts(main: Callable[[VirtualClock, HostBackoff], Awaitable[None]]) -> None:
    async def whole(clock: VirtualClock) -> None:
        await main(clock, HostBackoff(clock, random.Random(1)))

    run_virtually(whole)


async def fail(hosts: HostBackoff, *, retry_after: float | None = None, host: str | None = HOST) -> bool:
    async with hosts.attempt(host) as attempt:
        return attempt.failed(SinkUnavailableError("away", retry_after=retry_after))


async def answer(hosts: HostBackoff) -> None:
    async with hosts.attempt(HOST) as attempt:
        attempt.answered = True


def test_a_failure_lets_nobody_through_until_the_pause_is_over() -> None:
    """Another host and a store without a host are not concerned."""

    async def main(clock: VirtualClock, hosts: HostBackoff) -> None:
        assert hosts.pause(HOST) is None
        assert await fail(hosts)
        assert hosts.pause(HOST) is not None
        assert hosts.pause("other:443") is None
        assert hosts.pause(None) is None
        assert not await fail(hosts, host=None)
        began = clock.instant()
        async with hosts.attempt("other:443"):
            assert clock.instant() == began
        await answer(hosts)
        assert 0.6 <= began.until(clock.instant()) <= 1.01
        assert hosts.pause(HOST) is None

    with_hosts(main)


def test_pauses_grow_to_five_minutes_and_begin_again_after_an_answer() -> None:
    """The store is away for a day."""

    async def main(clock: VirtualClock, hosts: HostBackoff) -> None:
        count, began = 0, clock.instant()
        while began.until(clock.instant()) < 86400:
            await fail(hosts)
            count += 1
        assert 86400 / 300 < count < 86400 / 180 + 12
        await answer(hosts)
        await fail(hosts)
        began = clock.instant()
        await answer(hosts)
        assert began.until(clock.instant()) <= 1.01

    with_hosts(main)


@pytest.mark.parametrize(("asked", "least", "most"), [(120.0, 120, 121), (1e9, 3600, 3601), (0.1, 0.6, 1.01)])
def test_the_pause_that_the_store_asks_for_is_kept(asked: float, least: float, most: float) -> None:
    """An hour at most; no person ends it."""

    async def main(clock: VirtualClock, hosts: HostBackoff) -> None:
        await fail(hosts, retry_after=asked)
        pause, began = present(hosts.pause(HOST)), clock.instant()
        assert pause.asked is (asked > 1)
        assert least <= began.until(pause.until) <= most
        if asked > 1:
            hosts.try_now(HOST)
        await answer(hosts)
        assert least <= began.until(clock.instant()) <= most

    with_hosts(main)


def test_a_person_ends_our_own_pause_and_the_first_who_waits_goes_at_once() -> None:
    """`tokend sync`; a host that is not known, and no host, have none."""

    async def main(clock: VirtualClock, hosts: HostBackoff) -> None:
        for _ in range(9):
            await fail(hosts)
        hosts.try_now(None)
        hosts.try_now("unknown:443")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer, hosts)
            await anyio.sleep(5)
            began = clock.instant()
            hosts.try_now(HOST)
        assert clock.instant() == began

    with_hosts(main)


def test_after_an_outage_one_goes_first_and_the_others_follow_without_a_stampede() -> None:
    """More with each answer, a limited number at a time, in the order of arrival."""

    async def main(clock: VirtualClock, hosts: HostBackoff) -> None:
        running, most, order, first = 0, 0, [], []

        async def one(number: int) -> None:
            nonlocal running, most
            async with hosts.attempt(HOST) as attempt:
                order.append(number)
                running += 1
                most = max(most, running)
                first.append((running, clock.instant()))
                await anyio.sleep(0.1)
                running -= 1
                attempt.answered = True

        await fail(hosts)
        began = clock.instant()
        async with anyio.create_task_group() as tasks:
            for number in range(1000):
                tasks.start_soon(one, number)
        assert order == list(range(1000))
        assert most == MOST_AT_ONCE
        assert [count for count, _ in first[:3]] == [1, 1, 2]
        assert began.until(clock.instant()) < 6

    with_hosts(main)


def test_a_host_of_which_nothing_is_known_gets_few_attempts_at_first() -> None:
    """A thousand sinks at a start, and the host is dead."""

    async def main(clock: VirtualClock, hosts: HostBackoff) -> None:
        tried = []

        async def one() -> None:
            while True:
                async with hosts.attempt(HOST) as attempt:
                    tried.append(clock.instant())
                    await anyio.sleep(0.01)
                    attempt.failed(SinkUnavailableError("no connection"))

        async with anyio.create_task_group() as tasks:
            for _ in range(1000):
                tasks.start_soon(one)
            await anyio.sleep(0.005)
            assert len(tried) == FIRST_AT_ONCE
            await anyio.sleep(60)
            assert 8 < len(tried) <= 20
            tasks.cancel_scope.cancel()

    with_hosts(main)


def test_what_began_before_the_pause_neither_ends_nor_doubles_it() -> None:
    """Four at once: one fails, one is answered late, one fails late with a longer pause of the store."""

    async def main(clock: VirtualClock, hosts: HostBackoff) -> None:
        async def late(seconds: float, retry_after: float | None, *, answered: bool = False) -> None:
            async with hosts.attempt(HOST) as attempt:
                await anyio.sleep(seconds)
                attempt.answered = answered
                if not answered:
                    attempt.failed(SinkUnavailableError("away", retry_after=retry_after))

        began = clock.instant()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(late, 0.1, None)
            tasks.start_soon(late, 0.2, None)
            tasks.start_soon(lambda: late(0.3, None, answered=True))
            tasks.start_soon(late, 0.4, 50.0)
            await anyio.sleep(0.35)
            assert hosts.pause(HOST) is not None
        await answer(hosts)
        assert 50.4 <= began.until(clock.instant()) <= 50.5

    with_hosts(main)


def test_an_attempt_that_learned_nothing_changes_nothing() -> None:
    """A template that fails sends nothing: the next one goes at once, and the next pause is longer."""

    async def main(clock: VirtualClock, hosts: HostBackoff) -> None:
        for _ in range(5):
            await fail(hosts)
        async with hosts.attempt(HOST) as attempt:
            assert not attempt.failed(SinkError("the template yields nothing"))
        began = clock.instant()
        await fail(hosts)
        assert clock.instant() == began
        await answer(hosts)
        assert began.until(clock.instant()) > 15

    with_hosts(main)


def unanswered() -> SinkError:
    error = SinkError("it closed the connection without an answer")
    error.is_unanswered = True
    return error


def test_a_connection_that_ends_without_an_answer_pauses_the_host_and_the_sink() -> None:
    """The host may be away. Where an earlier request of the attempt was answered, it is not."""

    async def main(clock: VirtualClock, hosts: HostBackoff) -> None:
        async with hosts.attempt(HOST) as attempt:
            assert not attempt.failed(unanswered())
        assert hosts.pause(HOST) is not None
        await answer(hosts)
        async with hosts.attempt(HOST) as attempt:
            assert not attempt.failed(unanswered())
            attempt.answered = True
        assert hosts.pause(HOST) is None

    with_hosts(main)


def test_a_sink_that_goes_away_in_the_queue_lets_the_next_one_through() -> None:
    """A reload removes the first of the queue, and one in the middle."""

    async def main(clock: VirtualClock, hosts: HostBackoff) -> None:
        await fail(hosts)
        done = []

        async def one(number: int, scope: anyio.CancelScope) -> None:
            with scope:
                await answer(hosts)
                done.append(number)

        scopes = [anyio.CancelScope() for _ in range(4)]
        async with anyio.create_task_group() as tasks:
            for number, scope in enumerate(scopes):
                tasks.start_soon(one, number, scope)
            await anyio.sleep(0.1)
            scopes[2].cancel()
            await anyio.sleep(0.1)
            scopes[0].cancel()
        assert done == [1, 3]

    with_hosts(main)


def test_while_a_probe_is_under_way_the_others_are_at_rest() -> None:
    """A host that does not answer for half a minute: no timer runs for those in the queue."""

    async def main(clock: VirtualClock, hosts: HostBackoff) -> None:
        async def probe() -> None:
            async with hosts.attempt(HOST) as attempt:
                await anyio.sleep(30)
                attempt.answered = True

        await fail(hosts)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(probe)
            for _ in range(3):
                tasks.start_soon(answer, hosts)
            await anyio.sleep(2)
            with counted_waits(clock) as waits:
                await anyio.sleep(25)
            assert waits == []

    with_hosts(main)


@contextmanager
def counted_waits(clock: VirtualClock) -> Iterator[list[float]]:
    """The moments at which somebody began to wait on the clock."""
    waits: list[float] = []
    wait = clock.wait

    async def counting(until: Any, wake: Any, *, ends: Any = None) -> None:
        waits.append(clock.instant().boot)
        await wait(until, wake, ends=ends)

    clock.wait = counting  # type: ignore[method-assign]  # for this block
    try:
        yield waits
    finally:
        clock.wait = wait  # type: ignore[method-assign]
