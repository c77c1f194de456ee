"""Documents that a kind keeps in its provider's record."""

from datetime import timedelta
from typing import ClassVar

import anyio
import pytest

from tests.fake_logins import FakeLogin, login_server
from tests.fakes import HOUR, FakeHeld, World, literal, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.plugin.login import RememberingRuntime
from tokend.values.errors import StoreError, TransientError
from tokend.values.logins import Granted, Login
from tokend.values.secret import Secret
from tokend.values.tokens import Token

KEPT: list[object] = []


class Remembers(FakeLogin):
    """It keeps a document."""

    async def refresh(self, runtime: RememberingRuntime, login: Login) -> Granted:  # type: ignore[override]
        kept = runtime.recall("metadata")
        KEPT.append(None if kept is None else (kept.document, runtime.clock.instant().boot - kept.at.boot))
        await runtime.remember("metadata", {"issuer": "https://login.example"})
        assert runtime.requests == 0
        assert runtime.upstream_now() == runtime.clock.instant().wall
        assert await runtime.reveal(literal("fake")) == Secret("fake")
        assert await runtime.run_in_thread(lambda: 7, seconds=1) == 7
        assert (await runtime.run_command(["/bin/true"], {}, seconds=10, output_limit=1)).status == 0
        with pytest.raises(TransientError, match="no network"):
            await runtime.exchange(UpstreamRequest("GET", "https://login.example/", {}, b""))
        return await super().refresh(runtime, login)  # type: ignore[arg-type]


def test_a_document_is_there_again_after_a_restart_with_its_age() -> None:
    """It is in the record, also while the exchange that fetched it is under way."""

    async def main(clock: VirtualClock) -> None:
        world, settings = World(clock), Remembers(refresh_token=literal("fake-refresh-0"))
        login_server(clock)
        KEPT.clear()
        async with world.running(provider("a", settings)) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
        await anyio.sleep(5000)
        async with world.running(provider("a", settings)) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
        assert KEPT[0] is None
        assert isinstance(KEPT[1], tuple)
        assert KEPT[1][0] == {"issuer": "https://login.example"}
        assert KEPT[1][1] > 4990

    run_virtually(main)


class Counts(FakeHeld):
    """A kind without a login that keeps a document."""

    keeps_documents: ClassVar[bool] = True

    async def fetch(self, runtime: RememberingRuntime, previous: Token | None) -> Token:  # type: ignore[override]
        kept = runtime.recall("counters")
        KEPT.append(None if kept is None else kept.document)
        await runtime.remember("counters", len(KEPT))
        now = runtime.clock.instant()
        return Token(Secret(f"fake-{len(KEPT)}"), "Bearer", now, now.after(HOUR))


def test_a_kind_without_a_login_may_keep_documents_too() -> None:
    """It says so with `keeps_documents`."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        KEPT.clear()
        for _ in range(2):
            async with world.running(provider("a", Counts(max_age=timedelta(seconds=10)))) as supervisor:
                await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
                await anyio.sleep(15)
        assert KEPT[0] is None
        assert KEPT[1:] == [*range(1, len(KEPT))]
        assert len(KEPT) > 2

    run_virtually(main)


class Counter(FakeHeld):
    """A kind that counts its attempts in a document, which must be saved before."""

    keeps_documents: ClassVar[bool] = True

    async def fetch(self, runtime: RememberingRuntime, previous: Token | None) -> Token:  # type: ignore[override]
        await runtime.remember("another", "fake")
        try:
            counted = await runtime.commit("counter", lambda kept: kept + 1 if isinstance(kept, int) else 1)
        except StoreError as error:
            KEPT.append(error.detail)
            raise TransientError("it cannot be saved") from None
        kept = runtime.recall("counter")
        KEPT.append((counted, None if kept is None else kept.document))
        now = runtime.clock.instant()
        return Token(Secret(f"fake-{counted}"), "Bearer", now, now.after(HOUR))


def test_a_document_is_changed_only_if_that_is_saved() -> None:
    """A full disk: nothing has changed, also in memory."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        KEPT.clear()
        async with world.running(provider("a", Counter(max_age=timedelta(seconds=60)))) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            world.state.broken = True
            await until(lambda: len(KEPT) > 1, seconds=100)
            world.state.broken = False
            await until(lambda: len(KEPT) > 2, seconds=1000)
            await until(lambda: isinstance(KEPT[-1], tuple), seconds=1000)
        assert KEPT[0] == (1, 1)
        assert KEPT[1] == "no space left on device"
        assert KEPT[-1] == (2, 2)

    run_virtually(main)
