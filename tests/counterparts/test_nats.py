"""A real NATS server with JetStream: a user who may do only what the sink needs, and a server that comes back."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme

from tests.counterparts.programs import Counterpart, answers_tcp, nats_server_in, program, started
from tests.sinks.leases import PLANTED
from tests.sinks.played_store import runtime_of
from tests.sinks.test_sink_contract import SECOND
from tokend.engine.publishing.sink_runtime import WriteRuntime
from tokend.plugin.sink import Content
from tokend.sinks.stores.nats import NatsSink
from tokend.values.errors import (
    NewerGenerationError,
    SinkConflictError,
    SinkError,
    SinkRejectedError,
    SinkUnavailableError,
)
from tokend.values.secret import Secret

# So often a server may crash by itself.
CRASHES = 3
# Everybody may do only this, on this server.
NARROW = """
jetstream {{ store_dir: "{directory}/streams" }}
accounts {{ app {{ jetstream: enabled, users: [
  {{ user: tokend, password: x, permissions: {{
    publish: ["$KV.app.token", "$JS.API.STREAM.MSG.GET.KV_app"], subscribe: ["_INBOX.>"] }} }}
  {{ user: admin, password: x }}
] }} }}
no_auth_user: {user}
"""


def run(port: int, main: Callable[[NatsSink, WriteRuntime], Awaitable[None]], **keys: Any) -> None:
    """Run ``main`` with a sink and the engine's own runtime."""
    table = {"url": f"nats://127.0.0.1:{port}", "bucket": "app", "key": "token", **keys}
    sink = NatsSink.model_validate(table)

    async def whole() -> None:
        with anyio.fail_after(30):
            await main(sink, runtime_of(sink))

    anyio.run(whole)


def content(value: str = PLANTED, generation: int = 7) -> Content:
    return Content(Secret(value), generation, None)


def test_a_bucket_is_made_and_a_key_written_read_and_purged(nats_server: Counterpart) -> None:
    """Only with ``create``; what the library's own key-value store reads is the token."""

    async def missing(sink: NatsSink, runtime: WriteRuntime) -> None:
        with pytest.raises(SinkError, match="the bucket does not exist"):
            await sink.put(runtime, content(), None)

    async def main(sink: NatsSink, runtime: WriteRuntime) -> None:
        mark = await sink.put(runtime, content(), None)
        assert await sink.inspect(runtime) == mark
        second = await sink.put(runtime, content(SECOND, 8), mark)
        assert second.version != mark.version
        assert await read(nats_server.port, "token", "made") == SECOND.encode()
        with pytest.raises(NewerGenerationError):
            await sink.put(runtime, content(), None)
        assert (await sink.remove(runtime, None)).digest is None
        assert await sink.inspect(runtime) == runtime.mark(None)
        await sink.put(runtime, content(), None)
        assert await read(nats_server.port, "token", "made") == PLANTED.encode()

    run(nats_server.port, missing, bucket="made")
    run(nats_server.port, main, bucket="made", create=True)


async def read(port: int, key: str, bucket: str = "app") -> bytes | None:
    """The value as another client reads it."""
    import nats

    client = await nats.connect(f"nats://127.0.0.1:{port}")
    try:
        return (await (await client.jetstream().key_value(bucket)).get(key)).value
    finally:
        await client.close()


async def foreign(port: int, key: str) -> None:
    """Write as a daemon with another state directory does."""
    import nats

    client = await nats.connect(f"nats://127.0.0.1:{port}")
    try:
        headers = {"Tokend-Writer": "another", "Tokend-Generation": "1"}
        await client.jetstream().publish(f"$KV.app.{key}", b"planted-fake-foreign", headers=headers)
    finally:
        await client.close()


def test_a_value_of_another_writer_is_a_conflict_and_of_two_writers_one_wins(tmp_path: Path) -> None:
    """The server compares revisions: of many writes at once none replaces what it has not read.

    It has a server of its own: nats-server 2.9 may crash by itself where a message is read that a write replaces. Then
    another one is asked.
    """
    for attempt in range(CRASHES):
        (directory := tmp_path / str(attempt)).mkdir()
        with nats_server_in(directory) as server:
            try:
                _race(server)
            except (AssertionError, SinkError, TimeoutError, ExceptionGroup):
                if b"\npanic: " not in b"\n" + server.output.read_bytes():
                    raise
            else:
                return
    pytest.fail(f"nats-server crashed {CRASHES} times")


def _race(server: Counterpart) -> None:
    async def main(sink: NatsSink, runtime: WriteRuntime) -> None:
        results: list[str] = []
        written: list[int] = []

        async def one(generation: int) -> None:
            try:
                await sink.put(runtime, content(f"planted-fake-{generation}", generation), None)
                results.append("written")
                written.append(generation)
            except NewerGenerationError:
                results.append("newer")
            except SinkError as error:
                assert "another writer has written meanwhile" in error.detail
                results.append("raced")

        async with anyio.create_task_group() as group:
            for generation in range(109, 99, -1):
                group.start_soon(one, generation)
        assert len(results) == 10
        assert await read(server.port, "raced") == f"planted-fake-{max(written)}".encode()
        await foreign(server.port, "raced")
        with pytest.raises(SinkConflictError):
            await sink.put(runtime, content("planted-fake-late", 999), None)
        assert await read(server.port, "raced") == b"planted-fake-foreign"
        runtime.may_take_over = True
        await sink.put(runtime, content("planted-fake-late", 999), None)
        assert await read(server.port, "raced") == b"planted-fake-late"

    run(server.port, main, create=True, key="raced")


@pytest.fixture
def narrow(tmp_path: Path) -> Callable[[str], Any]:
    """A server whose every client is one user."""
    server = program("nats-server", package="apt-get install nats-server")

    def made(user: str) -> Any:
        (tmp_path / "nats.conf").write_text(NARROW.format(directory=tmp_path, user=user))
        return started(
            lambda port: [server, "-a", "127.0.0.1", "-p", str(port), "-c", str(tmp_path / "nats.conf")],
            tmp_path,
            answers=answers_tcp,
        )

    return made


def test_the_narrowest_user_writes_and_reads_its_key_and_no_other(narrow: Callable[[str], Any]) -> None:
    """A missing permission is reported at once, not after the timeout."""

    async def make(sink: NatsSink, runtime: WriteRuntime) -> None:
        await sink.put(runtime, content(), None)

    async def main(sink: NatsSink, runtime: WriteRuntime) -> None:
        runtime.may_take_over = True
        await sink.put(runtime, content(SECOND), None)
        assert (await sink.inspect(runtime)) is not None
        await sink.remove(runtime, None)

    async def refused(sink: NatsSink, runtime: WriteRuntime) -> None:
        with anyio.fail_after(10), pytest.raises(SinkRejectedError, match="may not publish and read this key"):
            await sink.put(runtime, content(), None)

    with narrow("admin") as server:
        run(server.port, make, create=True)
    with narrow("tokend") as server:
        run(server.port, main)
        run(server.port, refused, key="other")
        run(server.port, refused, bucket="other")


def test_a_server_that_is_away_gets_nothing_late(tmp_path: Path) -> None:
    """It is unavailable; when it is back, only the next attempt writes."""
    server = program("nats-server", package="apt-get install nats-server")
    ports: list[int] = []

    def argv(port: int) -> list[str]:
        return [server, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(tmp_path / "streams")]

    async def away(sink: NatsSink, runtime: WriteRuntime) -> None:
        with pytest.raises(SinkUnavailableError):
            await sink.put(runtime, content(SECOND, 9), None)

    async def first(sink: NatsSink, runtime: WriteRuntime) -> None:
        await sink.put(runtime, content(), None)

    async def second(sink: NatsSink, runtime: WriteRuntime) -> None:
        assert await sink.inspect(runtime) == runtime.mark(Secret(PLANTED), version="1")
        await sink.put(runtime, content(SECOND, 9), None)

    with started(argv, tmp_path, answers=answers_tcp) as running:
        ports.append(running.port)
        run(running.port, first, create=True)
    run(ports[0], away)
    with started(lambda port: argv(ports[0]), tmp_path, answers=at(ports[0])):
        run(ports[0], second)


def at(port: int) -> Callable[[Counterpart], bool]:
    """Whether somebody listens at this port, whatever port was planned."""
    return lambda one: answers_tcp(Counterpart(port, one.pid, one.output))


def test_tls_is_verified_and_a_handshake_that_fails_ends_the_attempt(tmp_path: Path) -> None:
    """By the authority of ca_file; at once, although the library waits for the end of its connection for ever."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    (tmp_path / "cert.pem").write_bytes(certificate.cert_chain_pems[0].bytes())
    files = [f"--tls{name}={tmp_path}/{name}.pem" for name in ("cert", "key")]
    server = program("nats-server", package="apt-get install nats-server")

    async def trusted(sink: NatsSink, runtime: WriteRuntime) -> None:
        mark = await sink.put(runtime, content(), None)
        assert await sink.inspect(runtime) == mark

    async def untrusted(sink: NatsSink, runtime: WriteRuntime) -> None:
        with anyio.fail_after(10), pytest.raises(SinkUnavailableError, match="its TLS certificate is not trusted"):
            await sink.put(runtime, content(), None)

    with started(
        lambda port: [
            server,
            "-a",
            "127.0.0.1",
            "-p",
            str(port),
            "-js",
            "-sd",
            str(tmp_path / "streams"),
            "--tls",
            *files,
        ],
        tmp_path,
        answers=answers_tcp,
    ) as running:
        url = f"tls://localhost:{running.port}"
        run(running.port, trusted, url=url, ca_file=tmp_path / "ca.pem", create=True)
        run(running.port, untrusted, url=url)
