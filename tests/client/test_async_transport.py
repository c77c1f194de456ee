"""One exchange by asyncio: how it behaves on a loop. `test_transport` has what is the same in a thread."""

import asyncio
import socket
import threading
from pathlib import Path

import uvloop

from tests.cli.running import PATIENCE_SECONDS, eventually, short_directory
from tests.client.fake_daemon import answering, http
from tokend.client.async_transport import exchange


def test_a_daemon_that_is_silent_holds_up_no_other_task() -> None:
    """A hundred exchanges wait in one thread while another one is answered."""
    over = threading.Event()
    with answering(lambda _: over.wait(PATIENCE_SECONDS) and None) as silent, answering(http(b"{}")) as quick:

        async def main() -> tuple[int, int]:
            before = threading.active_count()
            waiting = [asyncio.create_task(exchange(silent.path, "GET", "/")) for _ in range(100)]
            answered = (await exchange(quick.path, "GET", "/"))[0]
            more = threading.active_count() - before  # below 0 where threads of an earlier test end meanwhile
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            return answered, more

        try:
            answered, more = asyncio.run(main())
            assert answered == 200
            assert more <= 0
        finally:
            over.set()


def test_a_full_queue_holds_up_no_other_task() -> None:
    """EAGAIN at connect: the loop runs on, and the exchange succeeds when there is room."""
    with short_directory() as directory, socket.socket(socket.AF_UNIX) as server:
        path = str(directory / "a.sock")
        server.bind(path)
        server.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(path)

            async def main() -> int:
                task = asyncio.create_task(exchange(path, "GET", "/"))
                for _ in range(3):
                    await asyncio.sleep(0)
                assert not task.done()
                answering = threading.Thread(target=serve)
                answering.start()
                status = (await task)[0]
                await asyncio.to_thread(answering.join)
                return status

            def serve() -> None:
                for answer in (b"", http(b"{}", status=204)):
                    connection, _ = server.accept()
                    connection.sendall(answer)
                    if answer:
                        connection.recv(1000)
                    connection.close()

            assert asyncio.run(main()) == 204


def test_a_cancelled_exchange_closes_its_connection() -> None:
    """The daemon sees the end at once, and no descriptor is left."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    closed = threading.Event()

    def wait_for_the_end(connection: socket.socket) -> None:
        if connection.recv(1) == b"":
            closed.set()

    with answering(wait_for_the_end) as fake:

        async def main() -> None:
            task = asyncio.create_task(exchange(fake.path, "GET", "/"))
            assert await asyncio.to_thread(eventually, lambda: bool(fake.requests))
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert await asyncio.to_thread(closed.wait, PATIENCE_SECONDS)

        asyncio.run(main())
    assert eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)


def test_it_works_on_uvloop() -> None:
    """Many bots run on it."""
    with answering(http(b'{"a": 1}')) as fake, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(exchange(fake.path, "GET", "/"))[2] == b'{"a": 1}'
