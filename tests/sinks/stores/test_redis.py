"""A key of Redis: settings, errors by what happens next, lost answers, generations, TLS."""

import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from tests.sinks import played_store
from tests.sinks.leases import ISSUED, PLANTED, lease
from tests.sinks.played_store import Row, Stage, put
from tests.sinks.stores.played_redis import PlayedRedis, _Listener
from tokend.plugin.sink import Mark
from tokend.sinks.stores.redis import RedisSink, _neighbour
from tokend.values.errors import (
    NewerGenerationError,
    SinkConflictError,
    SinkError,
    SinkRejectedError,
    SinkUnavailableError,
)
from tokend.values.tokens import Lease

ROW = Row(RedisSink, PlayedRedis, {"key": "app"}, over_http=False)


run = partial(played_store.run, ROW)


async def put_lease(stage: Stage, held: Lease) -> Mark:
    mark: Mark = await stage.sink.put(stage.runtime, await stage.sink.content(stage.runtime, held, {}), None)
    return mark


def sink(**keys: Any) -> RedisSink:
    return RedisSink.model_validate({"kind": "redis", "url": "rediss://r.example", "key": "app", **keys})


@pytest.mark.parametrize(
    ("keys", "target", "upstream"),
    [
        ({}, "redis:r.example:6379/0/app", "r.example:6379"),
        ({"url": "rediss://r.example:7000/5", "field": "token"}, "redis:r.example:7000/5/app#token", "r.example:7000"),
        ({"url": "redis://[::1]"}, "redis:[::1]:6379/0/app", "[::1]:6379"),
        ({"url": "unix:///run/redis/redis.sock"}, "redis:/run/redis/redis.sock/app", "/run/redis/redis.sock"),
    ],
)
def test_the_target_names_server_database_key_and_field(keys: dict[str, Any], target: str, upstream: str) -> None:
    """And no user. All sinks of one server pause together."""
    made = sink(**keys, username="a-user", password="planted-fake")
    assert (made.target, made.upstream) == (target, upstream)
    assert "a-user" not in made.target


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"url": "redis://r.example"}, "redis:// would send secrets in clear"),
        ({"url": "rediss://user:planted-fake@r.example"}, "holds no user and no password"),
        ({"url": "rediss://r.example/0?password=planted"}, "no query"),
        ({"url": "https://r.example"}, "a store's URL is rediss://host"),
        ({"url": "rediss://r.example:99999"}, "this is no URL"),
        ({"url": "rediss://r.example/app"}, "nothing but the number of a database"),
        ({"url": "unix://run/redis.sock"}, "the path of a socket is absolute"),
        ({"key": "a}b"}, "braces in a key are a hash tag"),
        ({"key": "a{}b"}, "braces in a key are a hash tag"),
        ({"expire": True}, "expire belongs to field"),
        ({"username": "tokend"}, "username needs password"),
        ({"client_key": "/k"}, "client_key needs client_cert"),
    ],
)
def test_a_table_that_cannot_work_is_refused(keys: dict[str, Any], said: str) -> None:
    """With advice, and without the value."""
    with pytest.raises(ValidationError, match=said) as refused:
        sink(**keys)
    assert "planted" not in str(refused.value)


def test_the_package_is_an_extra_that_a_check_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the configuration is wrong, and the message says what to install."""
    for name in [name for name in sys.modules if name == "redis" or name.startswith("redis.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(ValidationError, match=r'needs the package redis: pip install "tokend\[redis\]"'):
        sink()


@pytest.mark.parametrize(
    ("key", "neighbour"),
    [("app", "{app}:tokend"), ("user:{42}:token", "user:{42}:token:tokend"), ("{a}{b}", "{a}{b}:tokend")],
)
def test_the_generation_is_in_the_same_slot(key: str, neighbour: str) -> None:
    """A cluster hashes what is in the first braces, else the whole key."""
    assert _neighbour(sink(key=key).key) == neighbour


def test_fields_of_a_hash_are_shared_and_keys_are_not() -> None:
    """Two sinks on one field, or one on the whole key, would overwrite each other."""
    one, other, whole = sink(field="a"), sink(field="b"), sink()
    assert not one.exclusive_targets() & other.exclusive_targets()
    assert sink(url="rediss://r.example:6379/0").exclusive_targets() == whole.exclusive_targets()


def test_a_write_has_the_end_the_generation_and_a_notice() -> None:
    """PXAT of the token's end; the channel gets the name, not the token."""

    async def main(stage: Stage) -> None:
        mark = await put_lease(stage, lease(life_seconds=60.0))
        assert stage.store.ends["app"] == str(int(ISSUED.after(60.0).wall.timestamp() * 1000))
        assert stage.store.about == {"writer": stage.runtime.writer, "generation": "7"}
        assert stage.store.published == [(b"tokens", stage.runtime.name.encode())]
        assert mark.version == "7"
        await put_lease(stage, lease(life_seconds=None))
        assert stage.store.ends["app"] == ""

    run(main, publish="tokens")


def test_a_newer_token_of_this_daemon_stays() -> None:
    """The state is old: the generation in the store is said, so that ours can rise above it."""

    async def main(stage: Stage) -> None:
        newer = await put(stage, "planted-fake-newer", generation=9)
        with pytest.raises(NewerGenerationError) as refused:
            await put(stage)
        assert refused.value.generation == 9
        older = stage.runtime.mark(None, version="7")
        with pytest.raises(NewerGenerationError):
            await stage.sink.remove(stage.runtime, older)
        assert stage.store.held() == "planted-fake-newer"
        await stage.sink.remove(stage.runtime, newer)
        assert stage.store.held() is None

    run(main)


def test_a_token_of_another_writer_stays_until_an_admin_decides() -> None:
    """Whatever its generation is; removing it is refused, too."""

    async def main(stage: Stage) -> None:
        await put(stage)
        stage.store.about["writer"] = "another"
        for call in (put(stage, generation=99), stage.sink.remove(stage.runtime, None)):
            with pytest.raises(SinkConflictError, match="it holds a token of another writer"):
                await call
        stage.runtime.may_take_over = True
        await put(stage, generation=3)
        assert stage.store.about == {"writer": stage.runtime.writer, "generation": "3"}

    run(main)


def test_a_lost_answer_is_seen_by_reading() -> None:
    """The store acted on it; the next attempt need not write."""

    async def main(stage: Stage) -> None:
        stage.store.says, stage.store.acts = b"", True
        stage.sink = stage.sink.model_copy(update={"timeout": timedelta(seconds=2)})
        with pytest.raises(SinkUnavailableError, match="no answer within 2 s") as lost:
            await put(stage)
        assert lost.value.may_have_acted
        stage.store.says = None
        content = await stage.sink.content(stage.runtime, lease(), {})
        assert (await stage.sink.inspect(stage.runtime)).digest == stage.runtime.mark(content.values).digest
        assert stage.store.writes() == 1

    run(main)


@pytest.mark.parametrize(
    ("says", "error", "words"),
    [
        (b"-NOAUTH Authentication required.\r\n", SinkRejectedError, "the server refused (AuthenticationError)"),
        (b"-NOPERM User planted has no permissions\r\n", SinkRejectedError, "may the user run EVAL"),
        (b"-ERR ACL failure in script: User planted has no permissions\r\n", SinkRejectedError, "may the user run"),
        (b"-DENIED Redis is running in protected mode planted\r\n", SinkRejectedError, "is the password right"),
        (b"-LOADING planted\r\n", SinkUnavailableError, "the server is not ready (BusyLoadingError)"),
        (b"-READONLY planted\r\n", SinkUnavailableError, "the server is not ready (ReadOnlyError)"),
        (b"-MASTERDOWN planted\r\n", SinkUnavailableError, "not ready (MasterDownError)"),
        (b"-CLUSTERDOWN planted\r\n", SinkUnavailableError, "not ready (ClusterDownError)"),
        (b"-BUSY planted\r\n", SinkUnavailableError, "not ready (BUSY)"),
        (b"-ERR @user_script:1: READONLY planted\r\n", SinkUnavailableError, "not ready (READONLY)"),
        (b"-ERR The user executing the script can't planted\r\n", SinkRejectedError, "may the user run EVAL"),
        (b"-WRONGTYPE planted\r\n", SinkError, "(WRONGTYPE): the key holds another type: it is left alone"),
        (b"-OOM planted\r\n", SinkError, "(OOM): the server is out of memory"),
        (b"-MOVED 3999 127.0.0.1:6381\r\n", SinkError, "(MOVED): the key belongs to another node"),
        (b"-ERR planted\r\n", SinkError, "the server answered with an error"),
        (b"+planted\r\n", SinkError, "something else than the script's result"),
        (b"*2\r\n$5\r\nnewer\r\n$7\r\nplanted\r\n", SinkError, "something else than the script's result"),
        (b"*0\r\n", SinkError, "something else than the script's result"),
        (b"HTTP/1.1 400 planted\r\n\r\n", SinkError, ""),
        (b"$planted\r\n", SinkError, ""),
        (b"*1\r\n" * 5000, SinkError, ""),
    ],
)  # fmt: skip
def test_an_error_is_raised_by_what_happens_next(says: bytes, error: type[SinkError], words: str) -> None:
    """Its code from a list is shown, the server's own words are not."""

    async def main(stage: Stage) -> None:
        stage.store.says = says
        if not words:  # it may wait for more
            stage.sink = stage.sink.model_copy(update={"timeout": timedelta(seconds=1)})
        with pytest.raises(error) as refused:
            await put(stage)
        assert words in refused.value.detail
        assert refused.value.detail.startswith(f"{stage.sink.target}: ")
        assert "planted" not in refused.value.detail
        if error is SinkError and words:
            assert type(refused.value) is SinkError

    run(main)


@pytest.mark.parametrize(
    "says", [b"+planted\r\n", b"*1\r\n$1\r\nx\r\n", b"*2\r\n:5\r\n$-1\r\n", b"*2\r\n$1\r\nx\r\n:5\r\n"]
)
def test_a_value_of_another_form_is_no_value(says: bytes) -> None:
    """Neither a mark nor a crash."""

    async def main(stage: Stage) -> None:
        stage.store.says = says
        with pytest.raises(SinkError, match="something else than a value"):
            await stage.sink.inspect(stage.runtime)

    run(main)


def test_a_password_that_is_no_text_is_named() -> None:
    """Nothing is sent."""

    async def main(stage: Stage) -> None:
        from tokend.plugin.secret_source import SecretSource
        from tokend.values.secret import Secret

        stage.sink = stage.sink.model_copy(update={"password": SecretSource(literal=Secret(b"\xff\xfe"))})
        with pytest.raises(SinkError, match="the user name or the password is not UTF-8 text"):
            await put(stage)
        assert stage.store.asked == 0

    run(main)


@pytest.fixture
def encrypted(tmp_path: Path) -> Callable[[Stage, bool], RedisSink]:
    """Put TLS before a played server, as localhost; the sink trusts its authority, or not."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)

    def made(stage: Stage, trusted: bool) -> RedisSink:
        def serve(connection: Any) -> None:
            with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as wrapped:
                stage.store._serve(wrapped)

        stage.store.front = _Listener(serve)
        keys = {"url": f"rediss://localhost:{stage.store.front.port}/3", "ca_file": str(tmp_path / "ca.pem")}
        table = {**stage.store.keys(), "key": "app", **keys}
        if not trusted:
            del table["ca_file"]
        return RedisSink.model_validate(table)

    return made


def test_tls_is_verified(encrypted: Callable[[Stage, bool], RedisSink]) -> None:
    """By the authority of ca_file, and for the name in the URL; an unknown one ends the attempt."""

    async def main(stage: Stage) -> None:
        stage.sink = encrypted(stage, True)
        await put(stage)
        assert stage.store.held() == PLANTED
        stage.sink = encrypted(stage, False)
        with pytest.raises(SinkUnavailableError, match="its TLS certificate is not trusted"):
            await put(stage)
        stage.store.front.close()

    run(main)


def test_a_file_of_tls_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """Before a connection is made."""
    (tmp_path / "ca.pem").write_text("planted")

    async def main(stage: Stage) -> None:
        keys = {**stage.store.keys(), "key": "app", "url": "rediss://localhost:1", "ca_file": str(tmp_path / "ca.pem")}
        stage.sink = RedisSink.model_validate(keys)
        with pytest.raises(SinkError, match="ca_file") as refused:
            await put(stage)
        assert "planted" not in refused.value.detail

    run(main)


def test_a_server_behind_a_unix_socket_is_written(tmp_path: Path) -> None:
    """Without TLS: nobody else listens there."""
    import socket as sockets

    async def main(stage: Stage) -> None:
        listener = sockets.socket(sockets.AF_UNIX)
        with listener:
            listener.bind(str(tmp_path / "redis.sock"))
            listener.listen()

            def serve() -> None:
                connection, _ = listener.accept()
                with connection:
                    stage.store._serve(connection)

            threading.Thread(target=serve, daemon=True).start()
            keys = {**stage.store.keys(), "key": "app", "url": f"unix://{tmp_path}/redis.sock"}
            stage.sink = RedisSink.model_validate(keys)
            await put(stage)
            assert stage.store.held() == PLANTED

    run(main)


def test_a_later_end_of_the_token_is_written_where_the_key_ends_with_it() -> None:
    """Not for a field of a hash whose end is left alone."""
    assert sink().writes_end
    assert sink(field="token", expire=True).writes_end
    assert not sink(field="token").writes_end
