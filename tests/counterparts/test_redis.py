"""A real Redis, as a user who may run only what the scripts need, on the sink's own keys."""

import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from tests.counterparts.programs import Counterpart
from tests.fakes import literal
from tests.sinks.leases import PLANTED
from tests.sinks.played_store import runtime_of
from tests.sinks.test_sink_contract import SECOND
from tokend.engine.publishing.sink_runtime import WriteRuntime
from tokend.plugin.sink import Content
from tokend.sinks.stores.redis import RedisSink
from tokend.values.errors import (
    NewerGenerationError,
    SinkConflictError,
    SinkError,
    SinkRejectedError,
    SinkUnavailableError,
)
from tokend.values.instant import Instant
from tokend.values.secret import Secret

PASSWORD = "planted-fake-redis-password"
NARROW = "resetkeys ~app ~{app}:tokend resetchannels &tokens -@all"
COMMANDS = "+eval +get +set +del +hmget +hget +hset +hdel +pexpireat +persist +publish"


@dataclass(frozen=True)
class Redis:
    """The server, as its administrator."""

    port: int

    def say(self, *words: str) -> str:
        """Run a command; its answer as it came, for short ones."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            parts = [word.encode() for word in words]
            connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts))
            answer = connection.recv(65536).decode()
        assert not answer.startswith("-"), answer
        return answer

    def value(self, *words: str) -> str | None:
        """The one string of an answer."""
        answer = self.say(*words)
        return None if answer == "$-1\r\n" else answer.partition("\r\n")[2].removesuffix("\r\n")

    def number(self, *words: str) -> int:
        """The number of an answer."""
        return int(self.say(*words)[1:])


@pytest.fixture
def redis(redis_server: Counterpart) -> Redis:
    """An empty server with the user ``tokend``."""
    made = Redis(redis_server.port)
    made.say("FLUSHALL")
    made.say("ACL", "SETUSER", "admin", "on", f">{PASSWORD}", "+@all", "~*", "&*")
    made.say("ACL", "SETUSER", "tokend", "reset", "on", f">{PASSWORD}", *NARROW.split(), *COMMANDS.split())
    return made


def run(redis: Redis, main: Callable[[RedisSink, WriteRuntime], Awaitable[None]], **keys: Any) -> None:
    """Run ``main`` with a sink and the engine's own runtime."""
    table = {"url": f"redis://127.0.0.1:{redis.port}", "key": "app", "username": "tokend",
             "password": literal(PASSWORD), **keys}  # fmt: skip
    sink = RedisSink.model_validate(table)

    async def whole() -> None:
        with anyio.fail_after(30):
            await main(sink, runtime_of(sink))

    anyio.run(whole)


def content(value: str = PLANTED, generation: int = 7, seconds: float | None = 60.0) -> Content:
    """Content that ends so many seconds from now."""
    ends = None if seconds is None else Instant(datetime.fromtimestamp(time.time() + seconds, UTC), 0.0)
    return Content(Secret(value), generation, ends)


def test_a_key_ends_with_its_token_and_is_removed(redis: Redis) -> None:
    """Value, generation and end; a token without an end takes the end away from both keys."""

    async def main(sink: RedisSink, runtime: WriteRuntime) -> None:
        assert (await sink.inspect(runtime)) == runtime.mark(None)
        mark = await sink.put(runtime, content(), None)
        assert await sink.inspect(runtime) == mark
        assert redis.value("GET", "app") == PLANTED
        assert redis.value("HGET", "{app}:tokend", "generation") == "7"
        for key in ("app", "{app}:tokend"):
            assert 55_000 < redis.number("PTTL", key) <= 60_000
        await sink.put(runtime, content(SECOND, seconds=None), mark)
        for key in ("app", "{app}:tokend"):
            assert redis.number("PTTL", key) == -1
        assert (await sink.remove(runtime, await sink.inspect(runtime))).digest is None
        assert redis.number("DBSIZE") == 0
        assert (await sink.remove(runtime, None)).digest is None

    run(redis, main)


@pytest.mark.parametrize("expire", [False, True])
def test_a_field_leaves_the_end_of_its_hash_alone_unless_asked(redis: Redis, expire: bool) -> None:
    """The other fields are others'."""
    redis.say("HSET", "app", "theirs", "somebody else's")

    async def main(sink: RedisSink, runtime: WriteRuntime) -> None:
        mark = await sink.put(runtime, content(), None)
        assert await sink.inspect(runtime) == mark
        assert redis.value("HGET", "app", "token") == PLANTED
        assert redis.value("HGET", "app", "theirs") == "somebody else's"
        assert (redis.number("PTTL", "app") > 0) == expire
        assert redis.value("HGET", "{app}:tokend", "generation:token") == "7"
        await sink.remove(runtime, mark)
        assert redis.value("HGET", "app", "token") is None
        assert redis.value("HGET", "app", "theirs") == "somebody else's"

    run(redis, main, field="token", expire=expire)


def test_an_older_generation_and_another_writer_are_refused(redis: Redis) -> None:
    """In the script: whatever another daemon does at the same time."""

    async def main(sink: RedisSink, runtime: WriteRuntime) -> None:
        newer = await sink.put(runtime, content(SECOND, generation=9), None)
        with pytest.raises(NewerGenerationError) as refused:
            await sink.put(runtime, content(), None)
        assert refused.value.generation == 9
        redis.say("HSET", "{app}:tokend", "writer", "another")
        with pytest.raises(SinkConflictError):
            await sink.put(runtime, content(generation=10), newer)
        with pytest.raises(SinkConflictError):
            await sink.remove(runtime, newer)
        assert redis.value("GET", "app") == SECOND
        runtime.may_take_over = True
        await sink.put(runtime, content(generation=3), None)
        assert redis.value("GET", "app") == PLANTED

    run(redis, main)


def test_of_many_daemons_at_once_the_newest_token_stays(redis: Redis) -> None:
    """Fifty writes of one writer in any order."""

    async def main(sink: RedisSink, runtime: WriteRuntime) -> None:
        async def one(generation: int) -> None:
            try:
                await sink.put(runtime, content(f"planted-fake-{generation}", generation), None)
            except NewerGenerationError as error:
                assert error.generation > generation

        async with anyio.create_task_group() as group:
            for generation in range(50):
                group.start_soon(one, generation * 7 % 50)
        assert redis.value("GET", "app") == "planted-fake-49"

    run(redis, main)


def test_a_subscriber_gets_the_name_and_not_the_token(redis: Redis) -> None:
    """``publish``, after each write."""
    with socket.create_connection(("127.0.0.1", redis.port), timeout=10) as subscriber:
        subscriber.sendall(b"SUBSCRIBE tokens\r\n")
        assert b"subscribe" in subscriber.recv(4096)

        async def main(sink: RedisSink, runtime: WriteRuntime) -> None:
            runtime.name = "partner"
            await sink.put(runtime, content(), None)

        run(redis, main, publish="tokens")
        heard = subscriber.recv(4096)
    assert b"partner" in heard
    assert PLANTED.encode() not in heard


def test_a_key_of_another_type_is_left_alone(redis: Redis) -> None:
    """A list of somebody else's; and a string where a hash is wanted."""
    redis.say("RPUSH", "app", "somebody else's")

    async def main(sink: RedisSink, runtime: WriteRuntime) -> None:
        for call in (sink.put(runtime, content(), None), sink.inspect(runtime)):
            with pytest.raises(SinkError, match=r"\(WRONGTYPE\): the key holds another type"):
                await call
        assert redis.number("LLEN", "app") == 1

    run(redis, main)
    run(redis, main, field="token")


def test_a_password_or_a_right_that_is_missing_is_a_refusal(redis: Redis) -> None:
    """WRONGPASS, NOAUTH, another key, a command that the user may not run inside the script."""

    async def main(sink: RedisSink, runtime: WriteRuntime) -> None:
        with pytest.raises(SinkRejectedError) as refused:
            await sink.put(runtime, content(), None)
        assert PASSWORD not in refused.value.detail

    run(redis, main, password=literal("planted-fake-wrong"))
    run(redis, main, key="other")
    redis.say("ACL", "SETUSER", "tokend", "-set")
    run(redis, main)
    assert redis.number("EXISTS", "app") == 0
    redis.say("ACL", "SETUSER", "default", "off")
    try:
        run(redis, main, username=None, password=None)
    finally:
        # The connection of the administrator is the default user's.
        _enable_default_user(redis)


def _enable_default_user(redis: Redis) -> None:
    with socket.create_connection(("127.0.0.1", redis.port), timeout=10) as connection:
        connection.sendall(f"AUTH admin {PASSWORD}\r\nACL SETUSER default on\r\n".encode())
        assert connection.recv(4096).count(b"+OK") == 2


def test_a_replica_takes_no_writes_and_is_unavailable(redis: Redis) -> None:
    """READONLY from inside the script."""

    async def main(sink: RedisSink, runtime: WriteRuntime) -> None:
        with pytest.raises(SinkUnavailableError):
            await sink.put(runtime, content(), None)

    redis.say("REPLICAOF", "127.0.0.1", "1")
    try:
        run(redis, main)
    finally:
        redis.say("REPLICAOF", "NO", "ONE")
