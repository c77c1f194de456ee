"""Names to addresses: once each at a time, in threads of their own, and silence concerns nobody else."""

import socket
import threading
from typing import Any

import anyio
import pytest

from tests.upstream.clocks import StandingClock
from tests.upstream.loopback import Reachable, reply, serving
from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.upstream import client, tls
from tokend.upstream.client import Upstream
from tokend.upstream.resolver import Resolver
from tokend.values.errors import TransientError

HERE = "127.0.0.1"


class Names:
    """A system's resolver by hand: silent about some names until it is let go on."""

    def __init__(self, *silent: str, **known: list[str] | OSError) -> None:
        self.silent = set(silent)
        self.known = known
        self.asked: list[str] = []
        self.goes_on = threading.Event()

    def look_up(self, host: str) -> list[str]:
        self.asked.append(host)
        if host in self.silent:
            self.goes_on.wait(20)
        found = self.known.get(host, [HERE])
        if isinstance(found, OSError):
            raise found
        return found


async def ask(url: str, names: Names, **settings: Any) -> int:
    """The status of a GET."""
    resolver = Resolver(ThreadPool(4), names.look_up)
    upstream = Upstream(Reachable(**settings), clock=StandingClock(0), resolver=resolver)
    return (await upstream.exchange(UpstreamRequest("GET", url))).status


@pytest.mark.parametrize("host", [HERE, "::1", "2001:db8::1"])
def test_an_address_asks_nobody(host: str) -> None:
    """Without any resolver, what is reached by its address goes on."""
    names = Names()
    assert anyio.run(lambda: Resolver(look_up=names.look_up).addresses(host, seconds=5)) == [host]
    assert names.asked == []


def test_many_who_ask_for_one_name_are_one_question() -> None:
    """docs/promises.md 23: a thousand providers of one host do not take a thousand threads; all get the answer."""
    names, found = Names("one"), []

    async def main() -> None:
        resolver = Resolver(ThreadPool(2), names.look_up)

        async def look() -> None:
            found.append(await resolver.addresses("one", seconds=20))

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(look)
            await anyio.wait_all_tasks_blocked()
            names.goes_on.set()

    anyio.run(main)
    assert (names.asked, found) == (["one"], [[HERE]] * 50)


def test_an_error_is_everybodys_who_waits_and_nobodys_later() -> None:
    """What the system said of a name is not kept: the next attempt asks again."""
    names = Names(one=socket.gaierror(socket.EAI_AGAIN, "Temporary failure"))

    async def main() -> None:
        resolver = Resolver(ThreadPool(2), names.look_up)
        with pytest.raises(socket.gaierror):
            await resolver.addresses("one", seconds=20)
        del names.known["one"]
        assert await resolver.addresses("one", seconds=20) == [HERE]

    anyio.run(main)


def test_a_silent_name_holds_one_thread_and_no_other_name() -> None:
    """docs/promises.md 23: it is left alone until that call has ended; then it is asked for again."""
    names = Names("mute")

    async def main() -> None:
        resolver = Resolver(ThreadPool(2), names.look_up)
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await resolver.addresses("mute", seconds=0.02)
        assert await resolver.addresses("other", seconds=20) == [HERE]
        assert names.asked == ["mute", "other"]
        names.goes_on.set()
        with anyio.fail_after(20):
            while names.asked.count("mute") == 1:
                try:
                    await resolver.addresses("mute", seconds=20)
                except TimeoutError:
                    await anyio.sleep(0.01)

    anyio.run(main)


def test_who_never_got_a_thread_leaves_no_trace() -> None:
    """Other names may hold all threads for a moment: that says nothing of this one."""
    names = Names("mute")

    async def main() -> None:
        resolver = Resolver(ThreadPool(1), names.look_up)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: resolver.addresses("mute", seconds=20))
            await anyio.wait_all_tasks_blocked()
            with anyio.move_on_after(0.02):
                await resolver.addresses("other", seconds=20)
            names.goes_on.set()
        assert names.asked == ["mute"]
        assert await resolver.addresses("other", seconds=20) == [HERE]

    anyio.run(main)


def test_one_who_gives_up_leaves_the_question_to_the_next() -> None:
    """The first caller may be cancelled, as its provider is removed: the others are none the worse."""
    names = Names("one")

    async def main() -> None:
        resolver = Resolver(ThreadPool(2), names.look_up)
        async with anyio.create_task_group() as first, anyio.create_task_group() as second:
            first.start_soon(lambda: resolver.addresses("one", seconds=20))
            await anyio.wait_all_tasks_blocked()

            async def look() -> None:
                try:
                    assert await resolver.addresses("one", seconds=20) == [HERE]
                except TimeoutError:  # its thread may still be at it
                    assert names.asked == ["one"]

            second.start_soon(look)
            await anyio.wait_all_tasks_blocked()
            first.cancel_scope.cancel()
            names.goes_on.set()

    anyio.run(main)


def test_the_first_address_that_answers_is_taken() -> None:
    """docs/promises.md 23: those that refuse cost nothing; none is asked twice."""

    async def main() -> None:
        async with serving(reply(b"{}")) as loopback:
            names = Names(many=["127.0.0.9", "127.0.0.8", HERE])
            assert await ask(f"http://many:{loopback.port}/", names) == 200
            assert loopback.requests[0].headers["host"] == f"many:{loopback.port}"
            assert len(loopback.requests) == 1

    anyio.run(main)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name:9: name or service not known"),
        (["127.0.0.9", "127.0.0.8"], "name:9: connection refused"),
    ],
)
def test_what_went_wrong_with_a_name_is_said(found: list[str] | OSError, words: str) -> None:
    """In the system's words, with the host; nothing was sent, so that it may be repeated."""
    with pytest.raises(TransientError) as caught:
        anyio.run(lambda: ask("http://name:9/", Names(name=found)))
    assert str(caught.value) == words
    assert caught.value.repeatable


def test_without_a_thread_the_words_are_not_those_of_a_silent_resolver() -> None:
    """docs/promises.md 73: what is missing is said, and the name may be asked for at the next attempt."""
    names = Names()
    client.import_client()
    anyio.run(lambda: tls.Contexts(None, ThreadPool(1)).current("name"))  # the first call takes a thread
    before = threading.stack_size(1 << 46)  # from here on no thread can be started
    try:
        with pytest.raises(TransientError, match="name:9: no thread can be started"):
            anyio.run(lambda: ask("http://name:9/", names))
    finally:
        threading.stack_size(before)
    assert names.asked == []
