"""Client calls from an event loop, without blocking it."""

import threading

import anyio

from tests.client.fake_daemon import answering
from tokend.client import Lease, TokenClient, worker_threads
from tokend.client.reporting import newer
from tokend.client.testing import FakeTokend


def test_a_report_that_waits_holds_up_neither_loop_nor_readers() -> None:
    """More reports than there are threads for wait for a slow upstream; another token is read meanwhile."""
    over = threading.Event()
    with FakeTokend({"tt": "first"}, environ=False) as fake, answering(lambda _: over.wait(40) and None) as stuck:

        async def main() -> str:
            with anyio.fail_after(10):  # the reports themselves would end after 40 s
                return await reading()

        async def reading() -> str:
            async with anyio.create_task_group() as group:
                for _ in range(3 * worker_threads.REPORTING_THREADS):
                    group.start_soon(
                        worker_threads.report, newer, TokenClient(stuck.path), Lease("tt", "a", generation=1)
                    )
                await anyio.wait_all_tasks_blocked()
                found = await worker_threads.read(TokenClient(fake.socket).get, "tt")
                group.cancel_scope.cancel()
            return found.access_token

        try:
            assert anyio.run(main) == "first"
        finally:
            over.set()
