"""`AsyncTokenClient` on a loop. `test_tokens` runs all that is the same with `TokenClient`."""

import asyncio
import inspect
import threading
from typing import Any

from tests.client.fake_daemon import answering
from tokend.client import AsyncTokenClient, TokenClient
from tokend.client.testing import FakeTokend


def public(client: type) -> dict[str, Any]:
    """The signature of each public method."""
    return {
        name: inspect.signature(method).replace(return_annotation=None)
        for name, method in inspect.getmembers(client, inspect.isfunction)
        if not name.startswith("_")
    }


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    """A program moves to asyncio by `await` alone."""
    assert public(AsyncTokenClient) == public(TokenClient)


def test_a_watcher_waits_beside_other_tasks_and_ends_with_its_task() -> None:
    """Long polls take no thread; a rotation reaches every watcher."""
    with FakeTokend({"tt": "first"}, environ=False) as fake:
        client = AsyncTokenClient(fake.socket)

        async def watch(seen: list[str], arrived: asyncio.Event) -> None:
            async for lease in client.watch("tt"):
                seen.append(lease.access_token)
                arrived.set()

        async def main() -> list[list[str]]:
            seen: list[list[str]] = [[] for _ in range(3)]
            events = [asyncio.Event() for _ in seen]
            tasks = [asyncio.create_task(watch(*pair)) for pair in zip(seen, events, strict=True)]
            for event in events:
                await event.wait()
                event.clear()
            fake.rotate("tt", "second")
            for event in events:
                await event.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return seen

        assert asyncio.run(main()) == [["first", "second"]] * 3


def test_one_client_serves_many_tasks_and_loops_one_after_the_other() -> None:
    """It keeps neither connection nor loop."""
    with FakeTokend({"tt": "first"}, environ=False) as fake:
        client = AsyncTokenClient(fake.socket)

        async def main() -> set[str]:
            return {lease.access_token for lease in await asyncio.gather(*(client.get("tt") for _ in range(50)))}

        assert [asyncio.run(main()) for _ in range(2)] == [{"first"}] * 2


def test_the_callers_own_timeout_ends_a_call() -> None:
    """`asyncio.timeout` around a call is a TimeoutError of asyncio, not an error of tokend."""
    over = threading.Event()
    with answering(lambda _: over.wait(40) and None) as silent:

        async def main() -> bool:
            try:
                async with asyncio.timeout(0.05):
                    await AsyncTokenClient(silent.path).get("tt")
            except TimeoutError:
                return True
            return False

        try:
            assert asyncio.run(main())
        finally:
            over.set()
