"""Documents that a kind keeps in its provider's record."""

import anyio
import pytest

from tests.fake_logins import FakeLogin, login_server
from tests.fakes import World, literal, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.plugin.login import RememberingRuntime
from tokend.values.errors import TransientError
from tokend.values.logins import Granted, Login
from tokend.values.secret import Secret

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
