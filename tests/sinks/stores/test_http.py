"""Kind ``http``: what is sent, what an answer means, versions, and what the configuration refuses."""

import hashlib
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from pydantic import ValidationError

from tests.fakes import literal
from tests.sinks.leases import PLANTED, lease
from tests.sinks.played_server import FAULTS, Answer, Asked, PlayedServer
from tests.sinks.played_store import Row, Stage, content_of, run, runtime_of
from tests.sinks.stores.played_http import PlayedComparing
from tests.sinks.test_remote_sink_contract import misbehave, require_quiet
from tests.sinks.test_sink_contract import SECOND, said
from tokend.engine.publishing.sink_runtime import WriteRuntime
from tokend.engine.records.fingerprints import sink_fingerprint
from tokend.plugin.declared.expressions import Expression
from tokend.plugin.sink import Mark
from tokend.sinks.stores.http import HttpSink
from tokend.upstream.client import import_client
from tokend.values.errors import (
    SinkConflictError,
    SinkError,
    SinkFinalError,
    SinkRejectedError,
    SinkUnavailableError,
    TransientError,
)

CREDENTIAL = "planted-fake-credential"
HOST = "https://store.example"
REQUEST: dict[str, Any] = {"method": "PUT", "url": f"{HOST}/v1/secrets/{{name}}", "json": {"value": "{value}"}}
COMPARING = Row(HttpSink, PlayedComparing, requests=(2, 1, 1))


def sink(**keys: Any) -> HttpSink:
    return HttpSink.model_validate({"kind": "http", "request": REQUEST, **keys}, context={"directory": "/nowhere"})


@contextmanager
def playing(*answers: Answer | Callable[[Asked], Answer]) -> Iterator[PlayedServer]:
    """A server that gives these answers one after another, the last one for ever."""
    waiting = list(answers)

    def answer(asked: Asked) -> Answer:
        one = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return one if isinstance(one, Answer) else one(asked)

    server = PlayedServer(answer)
    try:
        yield server
    finally:
        server.close()


def at(server: PlayedServer, **keys: Any) -> HttpSink:
    """A sink whose URLs are the server's."""
    made: HttpSink = HttpSink.model_validate(
        json.loads(json.dumps({"kind": "http", "request": REQUEST, **keys}).replace(HOST, server.url))
        | {"auth": literal(CREDENTIAL)},
        context={"directory": "/nowhere"},
    )
    return made


def called(one: HttpSink, call: str = "put", known: Mark | None = None, **more: Any) -> Mark | None:
    """Make one call with the engine's runtime."""

    async def main() -> Mark | None:
        with anyio.fail_after(20):
            runtime = runtime_of(one)
            runtime.name = "tt"
            mark: Mark | None
            if call == "put":
                mark = await one.put(runtime, await one.content(runtime, more.get("lease", lease()), {}), known)
            elif call == "remove":
                mark = await one.remove(runtime, known)
            else:
                mark = await one.inspect(runtime)
            return mark

    return anyio.run(main)


def refused(one: HttpSink, call: str = "put", known: Mark | None = None) -> SinkError:
    """Make one call that fails; its error holds no secret."""
    with pytest.raises(SinkError) as error:
        called(one, call, known)
    assert error.value.detail.startswith(f"{one.target}: ")
    for secret in (PLANTED, CREDENTIAL, "planted"):
        assert secret not in said(error.value)
    return error.value


# ------------------------------------------------------------------ what is sent


def test_a_field_that_was_probably_meant_as_a_value_is_a_warning() -> None:
    """In the answers, in the rows, and in the further requests."""
    slips = sink(
        answer={"success": "ok == true"},
        errors=[{"when": 'code == "BAD"', "means": "rejected"}],
        remove={"method": "DELETE", "url": f"{HOST}/x", "answer": {"absent": "gone == true"}},
    )
    assert [one.partition(":")[0] for one in slips.warnings({})] == [
        "answer.success", "errors.0.when", "remove.answer.absent",
    ]  # fmt: skip
    assert [*sink(answer={"success": "ok == `true`"}).warnings({})] == []


def test_placeholders_are_filled_in() -> None:
    """In the URL percent-encoded, in JSON as strings; numbers alone stay numbers."""
    request = {
        "method": "POST", "url": f"{HOST}/v1/{{name}}?a={{value}}", "query": {"end": "{expires_at}"},
        "headers": {"X-Value": "v {value}", "X-Generation": "{generation}"},
        "json": {"v": "{value}", "g": "{generation}", "both": "{name}/{generation}", "end": "{expires_at_unix}",
                 "brace": "{{value}}", "list": ["{value}", True], "key": "{key}"},
    }  # fmt: skip
    with playing(Answer(201)) as server:
        mark = called(at(server, request=request, key="TT_TOKEN"))
    [asked] = server.requests
    assert (asked.method, asked.path) == ("POST", f"/v1/tt?a={PLANTED}&end=2026-03-02T12%3A00%3A00Z")
    assert asked.headers["authorization"] == f"Bearer {CREDENTIAL}"
    assert (asked.headers["x-value"], asked.headers["x-generation"]) == (f"v {PLANTED}", "7")
    assert asked.json == {
        "v": PLANTED, "g": 7, "both": "tt/7", "end": 1772452800, "brace": "{value}", "list": [PLANTED, True],
        "key": "TT_TOKEN",
    }  # fmt: skip
    assert mark is not None
    assert mark.digest is not None
    assert mark.version is None


def test_a_form_and_a_text_are_sent_as_they_are_declared() -> None:
    """A token without an end has no end: an empty text."""
    form = {**REQUEST, "form": {"value": "{value}", "end": "[{expires_at}]"}}
    text = {**REQUEST, "text": "{value}", "headers": {"Content-Type": "application/x-token"}}
    for request in (form, text):
        del request["json"]
    with playing(Answer(204)) as server:
        called(at(server, request=form), lease=lease("a b&c=d", life_seconds=None))
        called(at(server, request=text))
    first, second = server.requests
    assert first.body == b"value=a%20b%26c%3Dd&end=%5B%5D"
    assert (second.body, second.headers["content-type"]) == (PLANTED.encode(), "application/x-token")


def test_several_values_are_filled_in_by_name() -> None:
    """The templates of ``values``."""
    values = {"A.B": "{{ access_token }}", "USER": "u:{{ access_token | b64 }}"}
    request = {**REQUEST, "json": {"a": "{values.A.B}", "u": "{values.USER}"}}
    with playing(Answer(200)) as server:
        called(at(server, request=request, values=values), lease=lease("fake"))
    assert server.requests[0].json == {"a": "fake", "u": "u:ZmFrZQ=="}


def test_a_store_may_take_its_credential_in_another_header() -> None:
    """With another text before it, or none."""
    with playing(Answer(200)) as server:
        called(at(server, auth_header="X-Vault-Token", auth_prefix=""))
        called(at(server, auth_prefix="Token "))
    assert server.requests[0].headers["x-vault-token"] == CREDENTIAL
    assert "authorization" not in server.requests[0].headers
    assert server.requests[1].headers["authorization"] == f"Token {CREDENTIAL}"


@pytest.mark.parametrize("value", ["..", "."])
def test_a_value_that_leads_elsewhere_is_never_sent(value: str) -> None:
    """Not in the path of the URL."""
    with playing(Answer(200)) as server:
        one = at(server, request={**REQUEST, "url": f"{HOST}/secrets/{{value}}"}, value=value)
        assert isinstance(refused(one), SinkFinalError)
    assert server.requests == []


def test_a_value_that_no_header_carries_is_never_sent() -> None:
    """A line end would begin another header."""
    with playing(Answer(200)) as server:
        one = at(server, request={**REQUEST, "headers": {"X-Value": "{value}"}}, value="{{ access_token }}\r\nX: y")
        assert "cannot be sent in a header" in refused(one).detail
    assert server.requests == []


# ------------------------------------------------------------------ what an answer means

ROWS: list[dict[str, Any]] = [
    {"when": "error.code == 'bad_key'", "means": "rejected"},
    {"status": 400, "text": "slow down", "means": "rate_limited", "pause": "2m"},
    {"status": [400, 423], "means": "conflict"},
    {"status": 424, "means": "transient"},
    {"status": 425, "means": "transient", "pause": "1m"},
]


@pytest.mark.parametrize(
    ("answer", "kind", "pause"),
    [
        (Answer(200, {"error": {"code": "bad_key"}}), SinkRejectedError, None),
        (Answer(500, {"error": {"code": "bad_key"}}), SinkRejectedError, None),
        (Answer(400, b"please slow down"), SinkUnavailableError, 120),
        (Answer(400, b"please slow down", {"Retry-After": "30"}), SinkUnavailableError, 30),
        (Answer(400, {"error": 5}), SinkConflictError, None),
        (Answer(423), SinkConflictError, None),
        (Answer(424), SinkError, None),
        (Answer(425), SinkUnavailableError, 60),
        (Answer(401), SinkRejectedError, None),
        (Answer(429, None, {"Retry-After": "9"}), SinkUnavailableError, 9),
        (Answer(302, None, {"Location": "/elsewhere"}), SinkError, None),
        (Answer(202), SinkError, None),
        (Answer(409), SinkError, None),
    ],
    ids=lambda one: f"{one.status} {one.body}" if isinstance(one, Answer) else str(one),
)
def test_the_first_row_that_matches_says_what_happens_next(
    answer: Answer, kind: type[SinkError], pause: float | None
) -> None:
    """Without a row the status says it; the store's own pause counts more than the row's."""
    with playing(answer) as server:
        error = refused(at(server, errors=ROWS))
    assert type(error) is kind
    assert getattr(error, "retry_after", None) == pause


@pytest.mark.parametrize(
    ("body", "message"),
    [({"ok": False}, "answer.success does not hold"), (b"<html>planted", "HTML"), (b"planted", "not acceptable JSON"),
     ({"ok": 1, "n": [0] * 30_000}, "more than 64 KiB"), (None, "not acceptable JSON"), ({}, "does not hold")],
)  # fmt: skip
def test_a_success_must_be_one(body: Any, message: str) -> None:
    """Status 200 alone is none where the store says it in the body."""
    with playing(Answer(200, body)) as server:
        assert message in refused(at(server, answer={"success": "ok"})).detail
        assert called(at(server, answer={})) is not None


def test_only_a_declared_status_is_a_success() -> None:
    """Also one that is an error elsewhere."""
    with playing(Answer(202)) as server:
        assert called(at(server, answer={"status": [202, 409]})) is not None
    with playing(Answer(200)) as server:
        assert "the store answered 200" in refused(at(server, answer={"status": [202, 409]})).detail


def test_a_version_is_kept_and_never_shows_a_value() -> None:
    """It stands in state and status: what the store makes of our value is no version."""
    for version, kept in (("7", "7"), (7, "7"), (f"v-{PLANTED}", None), (PLANTED[:20], None), ("a\nb", None),
                          ("", None), ("v" * 300, None), (None, None), (True, None)):  # fmt: skip
        with playing(Answer(200, {"v": version})) as server:
            mark = called(at(server, answer={"version": "v"}))
        assert mark is not None
        assert mark.version == kept


def test_values_are_read_back_from_their_places() -> None:
    """Base64 is decoded; what is absent is no value of ours; a number is a text."""
    inspect = {"url": f"{HOST}/x", "answer": {"value": {"json": "[0].Value", "encoding": "base64"}, "version": "[0].V"}}
    with playing(
        Answer(200), Answer(200, [{"Value": "cGxhbnRlZC1mYWtl", "V": 9}]), Answer(200, []), Answer(404)
    ) as server:
        one = at(server, inspect=inspect)
        put, found, nothing, gone = (
            called(one, lease=lease("planted-fake")),
            *(called(one, "inspect") for _ in range(3)),
        )
    assert put is not None and found is not None and nothing is not None and gone is not None
    assert (found.digest, found.version) == (put.digest, "9")
    assert nothing.digest is gone.digest is None
    assert called(at(server), "inspect") is None


def test_several_values_are_read_back_as_one() -> None:
    """A part of them is another content."""
    values = {"A": "{{ access_token }}", "B": "{{ token_type }}"}
    request = {**REQUEST, "json": {"a": "{values.A}", "b": "{values.B}"}}
    inspect = {"url": f"{HOST}/x", "answer": {"values": {"A": "a", "B": "b"}}}
    bodies = ({"a": PLANTED, "b": "Bearer"}, {"a": PLANTED}, {"c": "d"})
    with playing(Answer(200), *(Answer(200, body) for body in bodies)) as server:
        one = at(server, request=request, values=values, inspect=inspect)
        put, whole, part, none = called(one), *(called(one, "inspect") for _ in bodies)
    assert put is not None and whole is not None and part is not None and none is not None
    assert whole.digest == put.digest
    assert part.digest not in {put.digest, None}
    assert none.digest is None


@pytest.mark.parametrize("body", [b"<html>", b"planted"])
def test_what_cannot_be_read_back_is_no_absent_value(body: bytes) -> None:
    """A proxy's page is an error, or else the value would be written again and again."""
    inspect = {"url": f"{HOST}/x", "answer": {"value": "value"}}
    with playing(Answer(200, body)) as server:
        assert "answered with" in refused(at(server, inspect=inspect), "inspect").detail


def test_a_hostile_answer_leaves_the_loop_free() -> None:
    """64 KiB that an expression visits again and again: the loop runs meanwhile, and the answer is discarded."""
    body = b"[" + b",".join([b"1"] * 32_000) + b"]"
    when = "[?@ > `0`] | [?@ > `0`]"
    started = time.perf_counter()
    with pytest.raises(TransientError):
        Expression(when).find([1] * 32_000)
    evaluation_seconds = time.perf_counter() - started

    async def main(one: HttpSink) -> float:
        longest = 0.0

        async def tick() -> None:
            nonlocal longest
            while True:
                before = time.perf_counter()
                await anyio.lowlevel.checkpoint()
                longest = max(longest, time.perf_counter() - before)

        runtime = runtime_of(one)
        runtime.name = "tt"
        content = await one.content(runtime, lease(), {})
        await anyio.to_thread.run_sync(import_client)
        async with anyio.create_task_group() as group:
            group.start_soon(tick)
            with pytest.raises(SinkError, match="more than 100,000 nodes") as error:
                await one.put(runtime, content, None)
            assert type(error.value) is SinkError
            group.cancel_scope.cancel()
        return longest

    with playing(Answer(200, body)) as server:
        assert anyio.run(main, at(server, errors=[{"when": when, "means": "conflict"}])) < evaluation_seconds / 2


# ------------------------------------------------------------------ versions


class TakingOver(WriteRuntime):
    """The runtime of a write that an admin has decided about."""

    may_take_over = property(lambda self: True, lambda self, value: None)


def comparing(main: Callable[[Stage], Awaitable[None]]) -> None:
    run(COMPARING, main)


def test_a_write_names_the_version_that_it_replaces() -> None:
    """Read first where it is not known; 0 for what does not exist."""

    async def main(stage: Stage) -> None:
        first = await stage.sink.put(stage.runtime, await content_of(stage), None)
        second = await stage.sink.put(stage.runtime, await content_of(stage, SECOND), first)
        asked = [(one.method, one.headers.get("if-match")) for one in stage.store.server.requests]
        assert asked == [("GET", None), ("PUT", "0"), ("PUT", first.version)]
        assert second.version == "3"
        require_quiet(stage, first, second)

    comparing(main)


def test_a_target_that_is_known_to_be_empty_is_not_read_again() -> None:
    """The version of what does not exist is 0."""

    async def main(stage: Stage) -> None:
        empty = await stage.sink.inspect(stage.runtime)
        await stage.sink.put(stage.runtime, await content_of(stage), empty)
        assert [one.method for one in stage.store.server.requests] == ["GET", "PUT"]

    comparing(main)


def test_another_writers_value_is_not_overwritten() -> None:
    """Neither where our version is known nor where only our value is; an admin may decide to."""

    async def main(stage: Stage) -> None:
        mark = await stage.sink.put(stage.runtime, await content_of(stage), None)
        stage.store.overwrite("planted-fake-of-another-writer")
        for known in (mark, Mark(mark.digest)):
            with pytest.raises(SinkConflictError):
                await stage.sink.put(stage.runtime, await content_of(stage, SECOND), known)
        assert stage.store.held() == "planted-fake-of-another-writer"
        taking = TakingOver(stage.sink, stage.runtime._target, stage.runtime._context)
        await stage.sink.put(taking, await content_of(stage, SECOND), mark)
        assert stage.store.held() == SECOND

    comparing(main)


def test_after_a_lost_answer_nothing_is_written_twice() -> None:
    """The state is unknown then, and is read before the next write."""

    async def main(stage: Stage) -> None:
        content = await content_of(stage)
        stage.store.server.play(FAULTS["answer lost"], after=1)
        with pytest.raises(SinkError):
            await stage.sink.put(stage.runtime, content, None)
        before = stage.store.writes()
        assert (await stage.sink.put(stage.runtime, content, None)).version == str(before)
        assert stage.store.writes() == before

    comparing(main)


@pytest.mark.parametrize(
    "fault",
    ["answer lost", "silent after it acted", "huge body", "redirect 307", "status 401", "status 503", "status 409",
     "status 404", "204 with a body", "cut in the body"],
)  # fmt: skip
def test_a_comparing_sink_survives_a_store_that_misbehaves(fault: str) -> None:
    """At the reading and at the write."""
    for operation, after in (("put", 0), ("put", 1), ("remove", 0), ("inspect", 0)):
        run(COMPARING, lambda stage, operation=operation, after=after: misbehave(stage, operation, fault, after))  # type: ignore[misc]


CLEANUP: dict[str, Any] = {
    "request": {"method": "POST", "url": f"{HOST}/v", "json": {"value": "{value}"}},
    "answer": {"version": {"json": "name", "after_last": "/"}},
    "cleanup": {"method": "POST", "url": f"{HOST}/v/{{old_version}}:destroy", "json": {"now": "{version}"}},
}


def test_the_old_version_is_cleaned_up_after_the_write() -> None:
    """Once there is one; the version is what follows the last slash."""
    with playing(Answer(200, {"name": "p/v/1"}), Answer(200, {"name": "p/v/2"}), Answer(200)) as server:
        one = at(server, **CLEANUP)
        first = called(one)
        assert first is not None
        second = called(one, known=first)
    assert second is not None
    assert (first.version, second.version, second.remark) == ("1", "2", None)
    assert [asked.path for asked in server.requests] == ["/v", "/v", "/v/1:destroy"]
    assert server.requests[2].json == {"now": "2"}


@pytest.mark.parametrize(("answer", "why"), [(Answer(403), "answered 403"), (Answer(500), "answered 500")])
def test_a_failed_cleanup_is_a_remark_and_no_second_write(answer: Answer, why: str) -> None:
    """The value itself is there."""
    with playing(Answer(200, {"name": "p/v/2"}), answer) as server:
        mark = called(at(server, **CLEANUP), known=Mark("digest", "1"))
    assert mark is not None
    assert (mark.version, mark.digest is None) == ("2", False)
    assert mark.remark is not None
    assert mark.remark.startswith("version 1 was not cleaned up: ")
    assert why in mark.remark


def test_a_cleanup_ends_before_the_time_limit_of_the_write() -> None:
    """Or else a write that succeeded would count as failed, and be repeated."""

    def silent(asked: Asked) -> Answer:
        done.wait(30)
        return Answer(200)

    done = threading.Event()
    with playing(Answer(200, {"name": "p/v/2"}), silent) as server:
        one = at(server, **CLEANUP)

        async def main() -> Mark:
            runtime = runtime_of(one)
            content = await one.content(runtime, lease(), {})
            with anyio.fail_after(20):
                return await one.put(runtime, content, Mark("digest", "1"))

        mark = anyio.run(main)
        done.set()
    assert mark.remark == "version 1 was not cleaned up: its request was not answered in time"


# ------------------------------------------------------------------ removal


def test_what_is_not_there_is_removed_already() -> None:
    """404 and 410 are no errors; a status that is declared as one of another meaning is."""
    for status in (200, 204, 404, 410):
        with playing(Answer(status)) as server:
            mark = called(at(server, remove={"url": f"{HOST}/v1/{{name}}"}), "remove")
        assert mark is not None
        assert mark.digest is None
        assert (server.requests[0].method, server.requests[0].path) == ("DELETE", "/v1/tt")
    with playing(Answer(404)) as server:
        one = at(server, remove={"url": f"{HOST}/x"}, errors=[{"status": 404, "means": "rejected"}])
        assert isinstance(refused(one, "remove"), SinkRejectedError)


def test_a_removal_of_a_version_reads_it_first() -> None:
    """Unless the last mark has it, or nothing is there."""
    remove = {"url": f"{HOST}/v/{{version}}"}
    inspect = {"url": f"{HOST}/v", "answer": {"value": "value", "version": "n"}}
    found, gone = Answer(200, {"value": "planted", "n": 3}), Answer(404)
    for answers, known, paths in (
        ((found, Answer(204)), None, ["/v", "/v/3"]),
        ((gone,), None, ["/v"]),
        ((Answer(204),), Mark("digest", "8"), ["/v/8"]),
    ):
        with playing(*answers) as server:
            mark = called(at(server, remove=remove, inspect=inspect), "remove", known)
        assert mark is not None
        assert mark.digest is None
        assert [asked.path for asked in server.requests] == paths
    with playing(gone) as server:
        assert "is not known" in refused(at(server, remove=remove), "remove").detail
        assert server.requests == []


def test_a_sink_without_a_table_for_it_removes_nothing() -> None:
    """The error says what to do."""
    error = refused(sink(), "remove")
    assert isinstance(error, SinkFinalError)
    assert "no table remove" in error.detail


# ------------------------------------------------------------------ settings


def test_the_target_is_host_and_path_and_never_a_query() -> None:
    """Placeholders as they are written; ``key`` tells sinks of one URL apart."""
    url = f"{HOST}:8443/v1/{{name}}?secret={{value}}"
    one = sink(request={**REQUEST, "url": url}, key="TT")
    assert one.target == "http:store.example:8443/v1/{name}#TT"
    assert one.upstream == "store.example:8443"
    assert one.exclusive_targets() == frozenset()
    fixed = {**REQUEST, "url": f"{HOST}/env"}
    whole = sink(request=fixed).exclusive_targets()
    for same in ({"method": "POST"}, {"headers": {"X-A": "b"}}):
        assert sink(request={**fixed, **same}).exclusive_targets() == whole
    for other in ({"query": {"id": 1}}, {"json": {"value": "{value}", "id": 1}}, {"url": f"{HOST}/env?id=1"}):
        assert not sink(request={**fixed, **other}).exclusive_targets() & whole
    assert sink(request=fixed, key="A").exclusive_targets() == frozenset({"http:store.example/env\0A"})
    assert not one.compares


@pytest.mark.parametrize(
    ("keys", "where", "message"),
    [
        ({"request": {**REQUEST, "url": "http://store.example/"}}, ("request", "url"), "https:// only"),
        ({"request": {**REQUEST, "url": "http://169.254.169.254/x"}}, (), "to loopback only"),
        ({"request": {**REQUEST, "url": "https://u:planted@store.example/"}}, ("request", "url"), "no user"),
        ({"request": {**REQUEST, "url": f"{HOST}/{{vlaue}}"}}, ("request", "url"), 'did you mean "value"'),
        ({"request": {**REQUEST, "query": {"a": "{key}"}}}, ("request", "query", "a"), "no placeholder"),
        ({"values": {"A": "a"}}, ("request", "json", "value"), "known are {values.A}, {name}"),
        ({"request": {**REQUEST, "json": {"a": "{values.A}"}}}, ("request", "json", "a"), "no placeholder"),
        ({"inspect": {"url": f"{HOST}/{{value}}", "answer": {"value": "a"}}}, ("inspect", "url"), "no placeholder"),
        ({"inspect": {"url": "https://evil.example/", "answer": {"value": "a"}}}, ("inspect", "url"),
         "those of request"),
        ({"remove": {"url": "https://store.example:444/"}}, ("remove", "url"), "those of request"),
        ({"inspect": {"url": HOST, "answer": {}}}, ("inspect", "answer"), "needs its place: value"),
        ({"values": {"A": "a"}, "request": {**REQUEST, "json": {"a": "{values.A}"}},
          "inspect": {"url": HOST, "answer": {"value": "a"}}}, ("inspect", "answer"), "each of A"),
        ({"request": {**REQUEST, "query": {"cas": "{version}"}}}, ("request",), "[inspect] with answer.version"),
        ({"cleanup": {"method": "POST", "url": HOST}}, ("cleanup",), "answer.version is missing"),
        ({"request": {**REQUEST, "headers": {"authorization": "x"}}, "auth": literal("planted-fake")},
         ("request", "headers", "authorization"), "holds auth"),
        ({"auth_header": "Host"}, ("auth_header",), "set by tokend"),
        ({"auth_header": "A B"}, ("auth_header",), "a header's name"),
        ({"auth_prefix": "a\n"}, ("auth_prefix",), "pattern"),
        ({"key": "a b"}, ("key",), "pattern"),
        ({"answer": {"status": 302}}, ("answer", "status"), "a redirect is refused"),
        ({"answer": {"success": "a ="}}, ("answer", "success"), "character 3"),
        ({"errors": [{"status": 400, "means": "conflict"}, {"means": "conflict"}]}, ("errors", 1), "has a condition"),
        ({"proxy": "http://proxy.example:1", "request": {**REQUEST, "url": "http://127.0.0.1/"}}, (), "remove proxy"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_at_its_key(keys: dict[str, Any], where: tuple[str | int, ...], message: str) -> None:
    """With the path that line and column are found by, and without a secret."""
    with pytest.raises(ValidationError) as wrong:
        sink(**keys)
    assert "planted" not in str(wrong.value)
    found: Mapping[tuple[str | int, ...], str] = {error["loc"]: error["msg"] for error in wrong.value.errors()}
    assert message in found[where]


@pytest.mark.parametrize(
    "keys",
    [
        {"request": {**REQUEST, "json": {"value": "{value}", "id": 1}}}, {"request": {**REQUEST, "method": "POST"}},
        {"request": {**REQUEST, "json": {"value": "{value}{{}}"}}}, {"request": {**REQUEST, "query": {"a": "{value}"}}},
        {"request": {**REQUEST, "url": f"{HOST}/v1/{{name}}"}}, {"request": {**REQUEST, "headers": {"X-A": "b"}}},
        {"answer": {"success": "ok"}}, {"answer": {"version": "v"}}, {"answer": {"version": {"header": "v"}}},
        {"errors": [{"when": "a", "means": "rejected"}]}, {"errors": [{"when": "b", "means": "rejected"}]},
        {"remove": {"url": HOST}}, {"inspect": {"url": HOST, "answer": {"value": "a"}}}, {"auth_prefix": ""},
    ],
)  # fmt: skip
def test_each_key_is_in_the_fingerprint_of_the_settings(keys: dict[str, Any]) -> None:
    """A changed table is written again after a restart, although the token is the same."""

    def fingerprint(one: HttpSink) -> str:
        return sink_fingerprint(one, lambda data: hashlib.sha256(data).hexdigest())

    assert fingerprint(sink(key="A")) == fingerprint(sink(key="A"))
    assert fingerprint(sink(key="A", **keys)) == fingerprint(sink(key="A", **keys)) != fingerprint(sink(key="A"))


def test_a_command_that_asks_the_same_url_reads_what_the_sink_writes() -> None:
    """A credential that is read there would end with the token."""
    table = {**REQUEST, "url": f"{HOST}/v1/app?x={{value}}"}
    assert not sink(request=table, key="A").is_read_by(("curl", f"{HOST}/v1/app"))
    fixed = sink(request=table)
    assert fixed.is_read_by(("curl", "-s", f"{HOST}/v1/app?raw"))
    assert not fixed.is_read_by(("curl", f"{HOST}/v1/other"))


def test_all_that_is_wrong_between_the_tables_is_said_at_once() -> None:
    """Placeholders, places and hosts."""
    with pytest.raises(ValidationError) as wrong:
        sink(
            request={**REQUEST, "query": {"a": "{x}", "b": "{version}"}},
            inspect={"url": "https://evil.example/{y}", "answer": {"value": "a"}},
        )
    assert wrong.value.error_count() == 4


def test_a_later_end_of_the_token_is_written_where_the_request_has_it() -> None:
    """By a placeholder."""
    assert not sink().writes_end
    for name in ("expires_at", "expires_at_unix"):
        assert sink(request={**REQUEST, "json": {"value": "{value}", "until": f"{{{name}}}"}}).writes_end
