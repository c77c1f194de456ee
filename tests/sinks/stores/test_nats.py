"""A key of a NATS bucket: settings, revisions, generations, lost answers, and errors by what happens next."""

import json
import sys
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from tests.fakes import literal
from tests.sinks import played_store
from tests.sinks.leases import PLANTED, lease
from tests.sinks.played_store import Row, Stage, put
from tests.sinks.stores.played_nats import SUBJECT, PlayedNats
from tokend.sinks.stores.nats import NatsSink
from tokend.values.errors import (
    NewerGenerationError,
    SinkConflictError,
    SinkError,
    SinkFinalError,
    SinkRejectedError,
    SinkUnavailableError,
)

ROW = Row(NatsSink, PlayedNats, {"bucket": "app", "key": "token"}, over_http=False)


run = partial(played_store.run, ROW)


def sink(**keys: Any) -> NatsSink:
    return NatsSink.model_validate({"kind": "nats", "url": "tls://n.example", "bucket": "app", "key": "token", **keys})


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"url": "nats://n.example"}, "would send secrets in clear"),
        ({"url": "tls://user:planted-fake@n.example"}, "no user and no password"),
        ({"url": "tls://n.example/planted"}, "after the host of a NATS server stands nothing"),
        ({"bucket": "a.b"}, "match pattern"),
        ({"key": ".token"}, "match pattern"),
        ({"key": "a.*"}, "match pattern"),
    ],
)
def test_a_table_that_cannot_work_is_refused(keys: dict[str, Any], said: str) -> None:
    """With advice, and without the value."""
    with pytest.raises(ValidationError, match=said) as refused:
        sink(**keys)
    assert "planted" not in str(refused.value)


def test_the_target_names_server_bucket_and_key() -> None:
    """All sinks of one server pause together."""
    assert (sink().target, sink().upstream) == ("nats:n.example:4222/app/token", "n.example:4222")


def test_the_package_is_an_extra_that_a_check_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the configuration is wrong, and the message says what to install."""
    for name in [name for name in sys.modules if name == "nats" or name.startswith("nats.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])
    with pytest.raises(ValidationError, match=r'needs the package nats: pip install "tokend\[nats\]"'):
        sink()


def test_a_value_stands_on_the_revision_that_was_read() -> None:
    """With its writer and its generation beside it."""

    async def main(stage: Stage) -> None:
        mark = await put(stage)
        subject, headers, value = stage.store.entries[-1]
        assert (subject, value.decode(), mark.version) == (SUBJECT, PLANTED, "2")
        assert headers["Tokend-Writer"] == stage.runtime.writer
        assert headers["Tokend-Generation"] == "7"
        assert headers["Nats-Expected-Last-Subject-Sequence"] == "0"
        assert headers["Nats-Expected-Stream"] == "KV_app"
        await put(stage)
        assert stage.store.entries[-1][1]["Nats-Expected-Last-Subject-Sequence"] == "2"

    run(main)


def test_a_newer_token_or_another_writers_stays() -> None:
    """Until an admin decides. What has no writer of ours is a value that somebody put there by hand."""

    async def main(stage: Stage) -> None:
        await put(stage, "planted-fake-newer", generation=9)
        with pytest.raises(NewerGenerationError) as refused:
            await put(stage)
        assert refused.value.generation == 9
        stage.store.entries[-1][1]["Tokend-Writer"] = "another"
        for call in (put(stage, generation=99), stage.sink.remove(stage.runtime, None)):
            with pytest.raises(SinkConflictError, match="another writer"):
                await call
        assert stage.store.held() == "planted-fake-newer"
        stage.runtime.may_take_over = True
        await put(stage)
        assert stage.store.held() == PLANTED

    run(main)


def test_a_removal_purges_the_history() -> None:
    """On top of the revision that was read."""

    async def main(stage: Stage) -> None:
        await put(stage)
        await stage.sink.remove(stage.runtime, None)
        _, headers, value = stage.store.entries[-1]
        assert (headers["KV-Operation"], headers["Nats-Rollup"], value) == ("PURGE", "sub", b"")
        entries = len(stage.store.entries)
        await stage.sink.remove(stage.runtime, None)
        assert len(stage.store.entries) == entries

    run(main)


def test_a_writer_that_comes_between_is_not_overwritten() -> None:
    """The server compares the revision."""

    async def main(stage: Stage) -> None:
        last = stage.store._last

        def hurried(subject: str) -> bytes:
            stage.store._last = last
            found: bytes = last(subject)
            stage.store.overwrite("somebody else's")
            return found

        stage.store._last = hurried
        with pytest.raises(SinkError, match="another writer has written meanwhile"):
            await put(stage)
        assert stage.store.held() == "somebody else's"
        await put(stage)
        assert stage.store.held() == PLANTED

    run(main)


def test_a_bucket_is_made_only_where_the_settings_say_so() -> None:
    """The advice has the command."""

    async def refused(stage: Stage) -> None:
        stage.store.exists = False
        for call in (put(stage), stage.sink.inspect(stage.runtime)):
            with pytest.raises(SinkError, match="the bucket does not exist: nats kv add app, or create = true"):
                await call
        assert await stage.sink.remove(stage.runtime, None) == stage.runtime.mark(None)
        assert not stage.store.exists

    async def made(stage: Stage) -> None:
        stage.store.exists = False
        assert await stage.sink.inspect(stage.runtime) == stage.runtime.mark(None)
        assert await stage.sink.remove(stage.runtime, None) == stage.runtime.mark(None)
        assert not stage.store.exists, "only a write makes it"
        await put(stage)
        assert stage.store.held() == PLANTED

    run(refused)
    run(made, create=True)


def test_a_lost_answer_is_seen_by_reading() -> None:
    """The server acted on it; nothing is sent again by itself."""

    async def main(stage: Stage) -> None:
        stage.store.says = b""
        stage.sink = stage.sink.model_copy(update={"timeout": timedelta(seconds=2)})
        with pytest.raises(SinkUnavailableError) as lost:
            await put(stage)
        assert lost.value.may_have_acted
        stage.store.says = None
        content = await stage.sink.content(stage.runtime, lease(), {})
        assert (await stage.sink.inspect(stage.runtime)).digest == stage.runtime.mark(content.values).digest
        assert stage.store.writes() == 1

    run(main)


def said(code: int, status: int = 400) -> bytes:
    return json.dumps({"error": {"code": status, "err_code": code, "description": "planted"}}).encode()


@pytest.mark.parametrize(
    ("says", "error", "words"),
    [
        (said(10071), SinkError, "another writer has written meanwhile"),
        (said(10054), SinkFinalError, "the value is larger than the bucket takes"),
        (said(10077), SinkError, "the server refused (10077): the bucket is full"),
        (said(10039, 503), SinkUnavailableError, "JetStream is not ready"),
        (said(99999), SinkError, "the server refused (99999)"),
        (b'{"error": {"code": 400}}', SinkError, "the server refused"),
        (b"planted", SinkError, "not acceptable JSON"),
        (b"{}", SinkError, "without a revision"),
        (b'{"stream": "planted", "seq": 7}', SinkError, "without a revision"),
        (b'{"stream": "KV_app", "seq": true}', SinkError, "without a revision"),
    ],
)
def test_an_error_is_raised_by_what_happens_next(says: bytes, error: type[SinkError], words: str) -> None:
    """Its number is shown, the server's own words are not."""

    async def main(stage: Stage) -> None:
        stage.store.says, stage.store.acts = says, False
        with pytest.raises(error) as refused:
            await put(stage)
        assert words in refused.value.detail
        assert refused.value.detail.startswith(f"{stage.sink.target}: ")
        assert "planted" not in refused.value.detail

    run(main)


@pytest.mark.parametrize(
    "message", [None, [], {}, {"seq": 0}, {"seq": True}, {"seq": 1, "data": "pla!nted"}, {"seq": 1, "hdrs": 7}]
)
def test_an_entry_of_another_form_is_no_entry(message: Any) -> None:
    """Neither a mark nor a crash."""

    async def main(stage: Stage) -> None:
        stage.store._last = lambda subject: json.dumps({"message": message}).encode()
        with pytest.raises(SinkError, match="something else than an entry"):
            await stage.sink.inspect(stage.runtime)

    run(main)


def test_credentials_of_another_form_are_named() -> None:
    """They are not quoted."""

    async def main(stage: Stage) -> None:
        stage.sink = stage.sink.model_copy(update={"credentials": literal("planted-fake-credentials")})
        with pytest.raises(SinkError, match=r"is not the content of a \.creds file") as refused:
            await put(stage)
        assert "planted" not in refused.value.detail

    run(main)


def test_an_error_that_comes_apart_from_an_answer_ends_the_wait() -> None:
    """The server reports a missing permission on the connection, and the request gets no answer."""

    async def main(stage: Stage) -> None:
        asked = stage.store._asked
        stage.store._asked = lambda *_: None
        serve = stage.store.server._serve

        def denying(connection: Any) -> None:
            def none(*arguments: Any) -> None:
                connection.sendall(b"-ERR 'Permissions Violation for Publish to \"planted\"'\r\n")

            stage.store._asked = none
            serve(connection)

        stage.store.server._serve = denying
        with (
            anyio.fail_after(5),
            pytest.raises(SinkRejectedError, match="may not publish and read this key") as refused,
        ):
            await put(stage)
        assert "planted" not in refused.value.detail
        stage.store._asked, stage.store.server._serve = asked, serve

    run(main)
