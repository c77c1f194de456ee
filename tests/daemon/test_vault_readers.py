"""`VaultReaders`: the readers of vaults, and what follows the refusal of a provider's token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio

from tests.expecting import present
from tests.fakes import FakeHeld, World, provider
from tests.httpd.served import logged
from tests.virtual import VirtualClock, run_virtually, until
from tokend.daemon.vault_readers import VaultReaders
from tokend.machine.thread_pool import ThreadPool
from tokend.upstream.resolver import Resolver
from tokend.values.secret import Secret


class Broken:
    """An engine with a bug."""

    @property
    def entries(self) -> Any:
        raise ZeroDivisionError("fake bug")


@asynccontextmanager
async def readers(world: World, contexts: list[Any]) -> AsyncIterator[VaultReaders]:
    """The readers of an engine that runs; the first of ``contexts`` is the engine's."""
    async with anyio.create_task_group() as tasks:
        yield VaultReaders(
            clock=world.clock,
            resolver=Resolver(ThreadPool(1)),
            limits=world.limits,
            store=world.store,
            tasks=tasks,
            context=lambda: contexts[0],
        )


def test_a_token_that_a_vault_refuses_is_renewed_once() -> None:
    """Not one that is held no more; a refusal meanwhile causes no second one."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            async with readers(world, [world.context]) as vaults:
                first = present(supervisor.entries["a"].lease)
                await anyio.sleep(60)
                vaults.refused("a", Secret("fake-of-yesterday"))
                vaults.refused("nobody", first.token.value)
                for _ in range(3):
                    vaults.refused("a", first.token.value)
                await until(lambda: present(supervisor.entries["a"].lease).generation > first.generation, seconds=30)
                vaults.refused("a", first.token.value)
                await anyio.sleep(60)
            assert len(world.upstreams["one"].calls) == 2

    run_virtually(main)


def test_a_bug_in_a_refresh_is_logged_and_ends_nothing() -> None:
    """The task group is the daemon's. The next refusal renews the token; no line has the token."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            first = present(supervisor.entries["a"].lease)
            contexts = [replace(world.context, engine=Broken)]
            async with readers(world, contexts) as vaults:
                await anyio.sleep(60)
                with logged() as lines:
                    vaults.refused("a", first.token.value)
                    await until(lambda: bool(lines), seconds=10)
                assert [(one["event"], one["token"]) for one in lines] == [("vault.token_not_renewed", "a")]
                assert first.token.value.reveal() not in str(lines)
                contexts[0] = world.context
                vaults.refused("a", first.token.value)
                await until(lambda: present(supervisor.entries["a"].lease).generation > first.generation, seconds=30)

    run_virtually(main)


def test_a_reader_is_made_once_and_at_its_first_use() -> None:
    """Of providers and of sinks each their own: a disk of sinks that hangs holds up no refresher."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(), readers(world, [world.context]) as vaults:
            of_providers, of_sinks = vaults.reader(ThreadPool(1)), vaults.reader(ThreadPool(1))
            assert of_providers() is of_providers()
            assert of_providers() is not of_sinks()

    run_virtually(main)
