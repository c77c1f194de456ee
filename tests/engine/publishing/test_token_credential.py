"""A sink's credential that is another provider's token: its ready headers, and a newer one after a 401."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import anyio
import pytest

from tests.fakes import HOUR, FakeHeld, FakeRuntime, Upstream, World, literal, provider
from tests.sinks.leases import lease
from tests.store_world import row
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.publishing.publisher import Publisher
from tokend.engine.publishing.token_credential import renewed_after_refusal
from tokend.engine.supervisor import Supervisor
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.remote_sink import HttpSinkSettings
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.sink import Content, Mark, SinkRuntime
from tokend.plugin.store_status import refuse_write
from tokend.values.errors import RejectedError, SinkError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token

OF_B = SecretSource(token="b")


class FakeBearer(FakeHeld):
    """A held kind whose tokens bring the usual header."""

    kind: Literal["fake-bearer"] = "fake-bearer"  # type: ignore[assignment]  # each kind has a name of its own

    async def fetch(self, runtime: FakeRuntime, previous: Token | None) -> Token:
        token = await super().fetch(runtime, previous)
        return replace(token, headers={"Authorization": Secret(f"Bearer {token.value.reveal()}")})


class Shelf(HttpSinkSettings):
    """A store whose 403 may mean either an ended token or a missing right."""

    kind: Literal["shelf"] = "shelf"
    auth_header = "X-Shelf"
    auth_prefix = "Key "

    @property
    def target(self) -> str:
        return "shelf:app"

    @property
    def server_url(self) -> tuple[str, str]:
        return "url", "https://shelf.example"

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        assert isinstance(content.values, Secret)
        request = UpstreamRequest("PUT", "https://shelf.example/app", {"X-Own": "1"}, content.values.reveal_bytes())
        reply = await runtime.exchange(request, auth=self.auth)
        if reply.status == 403 and self.auth is not None and await runtime.renewed(self.auth):
            reply = await runtime.exchange(request, auth=self.auth)
        return runtime.mark(content.values) if reply.status == 204 else refuse_write(reply, self.target)

    async def remove(self, runtime: SinkRuntime, known: Mark | None) -> Mark:
        return runtime.mark(None)

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        return None


@dataclass
class Shelves:
    """The store's end of the network: what was sent to it, and what it accepts."""

    clock: VirtualClock
    accepts: Callable[[dict[str, str]], bool] = lambda headers: True
    refusal: int = 401
    sent: list[dict[str, str]] = field(default_factory=list)

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        headers = {k: v.reveal() if isinstance(v, Secret) else v for k, v in request.headers.items()}
        self.sent.append(headers)
        status = 204 if self.accepts(headers) else self.refusal
        return UpstreamReply(status, {}, b"", self.clock.instant(), None, 0.0)


def shelf_world(clock: VirtualClock) -> tuple[World, Shelves, Upstream]:
    """The engine with a shelf on its network; ``b`` logs in at the upstream that is returned."""
    world = World(clock)
    world.network = shelves = Shelves(clock)
    two = world.upstreams["two"] = Upstream(clock)
    return world, shelves, two


def a_with(auth: SecretSource | None) -> Any:
    return provider("a", FakeHeld(), Shelf(auth=auth))


def b_with(**keys: Any) -> Any:
    return provider("b", FakeBearer(base_url="two", **keys))


def runtime_of(supervisor: Supervisor) -> SinkRuntime:
    (publisher,) = supervisor._sinks["a"]._publishers
    assert isinstance(publisher, Publisher)
    return publisher._runtime


@pytest.mark.parametrize("auth", [literal("fake-key"), SecretSource(token="b", encoding="base64"), None])
def test_a_plain_credential_stands_in_the_stores_own_header(auth: SecretSource | None) -> None:
    """A decoded token is a key of its own, which has no headers."""

    async def main(clock: VirtualClock) -> None:
        world, shelves, two = shelf_world(clock)
        two.script = ["ZmFrZS1rZXk"]
        async with world.running(a_with(auth), b_with()) as supervisor:
            await until(lambda: supervisor.ready, seconds=10)
            assert shelves.sent == [{"X-Own": "1"} if auth is None else {"X-Own": "1", "X-Shelf": "Key fake-key"}]
            shelves.accepts = lambda headers: False
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            await anyio.sleep(3)
            assert supervisor.entries["b"].status().reports.count == 0
            assert not await runtime_of(supervisor).renewed(literal("fake-key"))

    run_virtually(main)


def test_another_providers_token_is_sent_as_its_readers_send_it() -> None:
    """All its ready headers, the configured ones included; a header that the sink sets itself counts."""

    async def main(clock: VirtualClock) -> None:
        world, shelves, _ = shelf_world(clock)
        async with world.running(a_with(OF_B), b_with(headers={"X-Team": "one", "x-own": "2"})) as supervisor:
            await until(lambda: supervisor.ready, seconds=10)
            assert shelves.sent == [{"X-Own": "1", "X-Team": "one", "Authorization": "Bearer fake-token-1"}]

    run_virtually(main)


def test_a_token_without_headers_stands_in_the_stores_own() -> None:
    """A kind of another package need not bring headers."""

    async def main(clock: VirtualClock) -> None:
        world, shelves, _ = shelf_world(clock)
        async with world.running(a_with(OF_B), provider("b", FakeHeld(base_url="two"))) as supervisor:
            await until(lambda: supervisor.ready, seconds=10)
            assert shelves.sent == [{"X-Own": "1", "X-Shelf": "Key fake-token-1"}]

    run_virtually(main)


@pytest.mark.parametrize("refusal", [401, 403])
def test_a_refused_token_is_reported_and_the_newer_one_is_tried_once(refusal: int) -> None:
    """As if a client had reported it. A store that answers 403 asks for it by itself."""

    async def main(clock: VirtualClock) -> None:
        world, shelves, two = shelf_world(clock)
        shelves.refusal = refusal
        async with world.running(a_with(OF_B), b_with()) as supervisor:
            await until(lambda: supervisor.ready, seconds=10)
            await anyio.sleep(10)
            shelves.accepts = lambda headers: headers["Authorization"].endswith("-2")
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            await until(lambda: supervisor.ready, seconds=10)
            assert [one["Authorization"][-1] for one in shelves.sent] == ["1", "1", "2"]
            reports = supervisor.entries["b"].status().reports
            assert (reports.count, reports.reason, reports.uid, two.made) == (1, "unauthorized", None, 2)
            await anyio.sleep(10)
            shelves.accepts = lambda headers: False
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            await anyio.sleep(0.5)
            assert [one["Authorization"][-1] for one in shelves.sent[3:5]] == ["2", "3"]
            assert "the credential is not accepted" in str(row(supervisor).error)

    run_virtually(main)


@pytest.mark.parametrize("trouble", [RejectedError("401"), "fake-token-1"])
def test_without_a_newer_token_the_refusal_stands(trouble: Any) -> None:
    """The refresh failed, or brought the same token."""

    async def main(clock: VirtualClock) -> None:
        world, shelves, two = shelf_world(clock)
        async with world.running(a_with(OF_B), b_with()) as supervisor:
            await until(lambda: supervisor.ready, seconds=10)
            await anyio.sleep(10)
            two.script, shelves.accepts = [trouble], lambda headers: False
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            await anyio.sleep(0.5)
            assert len(shelves.sent) == 2
            assert "shelf:app: the store answered 401" in str(row(supervisor).error)

    run_virtually(main)


def test_without_a_valid_token_nothing_is_sent() -> None:
    """Also where the sink asks for it although it waits; nothing was sent that could be reported."""

    async def main(clock: VirtualClock) -> None:
        world, shelves, two = shelf_world(clock)
        two.broken = lambda now: TransientError("down")
        async with world.running(a_with(OF_B), b_with()) as supervisor:
            await anyio.sleep(HOUR)
            assert row(supervisor).error == "shelf:app: waits for b, which has no valid token now"
            runtime = runtime_of(supervisor)
            request = UpstreamRequest("GET", "https://shelf.example/app", {})
            with pytest.raises(SinkError, match="shelf:app: waits for b, which has no valid token now"):
                await runtime.exchange(request, auth=OF_B)
            assert not await runtime.renewed(OF_B)
            assert shelves.sent == []

    run_virtually(main)


def test_a_refused_token_of_a_provider_that_is_gone_is_not_renewed() -> None:
    """A reload has removed it, and nothing is reported."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running():
            assert not await renewed_after_refusal("b", lease(name="b"), world.context)

    run_virtually(main)
