"""Runtime of a sink: secrets, marks, threads with a deadline."""

from collections.abc import Mapping
from pathlib import Path

import anyio

from tests.expecting import present
from tests.fakes import HOUR, FakeHeld, FakeSink, HangingThreads, World, provider
from tests.publishing_sinks import Network
from tests.store_world import row, store_sink, world_with_store
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.publishing.publisher import Publisher
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import SecretError, SinkError, TransientError
from tokend.values.secret import Secret


def test_a_secret_that_cannot_be_read_names_its_place(tmp_path: Path) -> None:
    """No request is sent; the sink alone waits for it."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        sink = store_sink(auth=SecretSource(file=tmp_path / "gone"))
        async with world.running(provider("a", FakeHeld(), sink)) as supervisor:
            await anyio.sleep(5)
            assert present(row(supervisor).error).startswith(f"store:app: file {tmp_path / 'gone'} cannot be read")
            assert (store.requests, supervisor.entries["a"].status().valid) == ([], True)

    run_virtually(main)


class UnsendableNetwork(Network):
    """A network whose requests have a credential that no header can carry."""

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        raise SecretError("the value of Authorization is not one line of ASCII")


def test_a_credential_that_cannot_be_sent_is_the_sinks_trouble_alone() -> None:
    """It says where, and the provider works on."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.network = UnsendableNetwork(clock)
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await anyio.sleep(5)
            assert row(supervisor).error == "store:app: the value of Authorization is not one line of ASCII"
            assert supervisor.entries["a"].status().valid

    run_virtually(main)


def test_the_time_for_a_signature_is_the_stores() -> None:
    """The store's clock may be wrong, or ours."""

    async def main(clock: VirtualClock) -> None:
        world, _, _ = world_with_store(clock)
        world.upstream_offset = 300.0
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            (one,) = supervisor._sinks["a"]._publishers
            assert isinstance(one, Publisher)
            assert (one._runtime.upstream_now() - clock.instant().wall).total_seconds() == 300

    run_virtually(main)


def test_marks_distinguish_contents_and_targets_and_show_nothing() -> None:
    """Keyed, over target and values; no two different sets of values make the same bytes."""

    async def main(clock: VirtualClock) -> None:
        world, _, _ = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink(), store_sink("other"))) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            first, second = supervisor._sinks["a"]._publishers
            assert isinstance(first, Publisher)
            assert isinstance(second, Publisher)
            one, other = first._runtime, second._runtime
            several = {"a": Secret("b"), "c": Secret("d")}
            values: list[Secret | Mapping[str, Secret]] = [
                Secret("ab"), Secret("a"), {"a": Secret("b")}, {"": Secret("ab")}, {"ab": Secret("")},
                {"a": Secret(""), "b": Secret("")}, several, {"a": Secret("bcd")},
            ]  # fmt: skip
            digests = [runtime.mark(value).digest for runtime in (one, other) for value in values]
            assert len({*digests}) == len(digests)
            assert one.mark(dict(reversed(several.items()))).digest == one.mark(several).digest
            assert "planted" not in repr(one.mark(Secret("planted-fake-value"), version="7"))
            assert (one.mark(None, version="7").digest, one.mark(None, version="7").version) == (None, "7")
            assert present(one.lease_of("a")).token.value == Secret("fake-token-1")
            assert one.lease_of("nobody") is None
            assert one.clock is clock
            world.upstreams["one"].broken = lambda now: TransientError("away")
            await anyio.sleep(13 * HOUR)
            assert one.lease_of("a") is None, "it has ended"

    run_virtually(main)


def test_a_command_that_hangs_is_given_up_and_tried_again() -> None:
    """Its thread is another than the writes' are: the token is in the file all the while."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.threads = threads = HangingThreads(clock)
        world.stumbles["announce", "somewhere"] = SinkError("the command ended with 1")
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(5)
            entry = supervisor.entries["a"]
            assert entry.status().sinks[0].error == "the command ended with 1"
            world.stumbles.clear()
            threads.hanging = True
            await until(lambda: "did not end in time" in present(entry.status().sinks[0].error), seconds=60)
            assert (supervisor.ready, len(world.written)) == (True, 1)
            threads.release()
            await until(lambda: entry.status().sinks[0].state == "ok", seconds=70)
            assert len(world.written) == 1

    run_virtually(main)


def test_public_facts_are_kept_for_their_time() -> None:
    """By name, each sink its own; the last ones count."""

    async def main(clock: VirtualClock) -> None:
        world, _, _ = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink(), store_sink("other"))) as supervisor:
            runtimes = [one._runtime for one in supervisor._sinks["a"]._publishers if isinstance(one, Publisher)]
            runtimes[0].keep("key", {"id": "0"}, seconds=10)
            runtimes[0].keep("key", {"id": "1"}, seconds=HOUR)
            await anyio.sleep(HOUR - 1)
            assert runtimes[0].kept("key") == {"id": "1"}
            assert (runtimes[0].kept("other"), runtimes[1].kept("key")) == (None, None)
            await anyio.sleep(1)
            assert runtimes[0].kept("key") is None

    run_virtually(main)


def test_the_requests_of_a_write_and_of_a_look_share_a_connection() -> None:
    """One block each, in which the connection is kept: the read before the first write is in the write's."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            assert (store.requests, network.blocks) == (["GET app", "PUT app"], 1)
            await supervisor.inspect("a")
            assert (store.sent("GET"), network.blocks) == (2, 2)

    run_virtually(main)
