"""Long polls and the stream of events."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.api.described import fits
from tests.api.fake_engine import RAW, START, FakeEngine
from tests.expecting import present
from tests.httpd.served import LAST_EVENT, PATIENCE_SECONDS, Client, Served, eventually, served
from tokend.api.events import EVENTS_KEPT, EventBus
from tokend.plugin.settings import Access
from tokend.state.event_ids import microseconds
from tokend.values.status import LoginStatus, SinkStatus, State
from tokend.values.tokens import utc


def waiting(running: Served) -> bool:
    return bool(running.inside(lambda: len(running.service.changes._waiting)))


def test_a_long_poll_answers_at_the_change(running: Served) -> None:
    """Prefer: wait with If-None-Match: 200 with the new token as soon as there is one."""
    with running.client() as client:
        client.send(b'GET /v1/tokens/demo HTTP/1.1\r\nPrefer: wait=30\r\nIf-None-Match: "17"\r\n\r\n')
        assert eventually(lambda: waiting(running))
        running.inside(lambda: running.engine.renew("demo", generation=18))
        assert client.reply().json["generation"] == 18
    assert running.get("/v1/tokens/demo", Prefer="wait=30").json["generation"] == 18


def test_a_long_poll_that_runs_out_is_304_or_504(running: Served) -> None:
    """With If-None-Match nothing new is 304; without it no valid token is 504."""
    assert running.get("/v1/tokens/demo", Prefer="wait=0", If_None_Match='"17"').status == 304
    running.engine.entries["demo"].lease = None
    reply = running.get("/v1/tokens/demo", Prefer="respond-async, wait=0")
    assert (reply.status, reply.code) == (504, "timeout")


def test_a_change_of_another_token_wakes_nobody(running: Served) -> None:
    """Thousands may wait for one token while many others are renewed each second."""
    with running.client() as client:
        client.send(b'GET /v1/tokens/demo HTTP/1.1\r\nPrefer: wait=30\r\nIf-None-Match: "17"\r\n\r\n')
        assert eventually(lambda: waiting(running))

        def woken_by(name: str) -> bool:
            running.engine.announce(name)
            [waiting] = running.service.changes._waiting["demo"]
            return waiting.is_set()

        assert not running.inside(lambda: woken_by("wallet"))
        assert running.inside(lambda: woken_by("demo"))


def test_another_end_of_the_same_token_ends_no_wait_and_is_no_event(running: Served) -> None:
    """The generation is the same: what a reader holds works longer. Who asks gets the new end."""

    def extend() -> str:
        entry, events = running.engine.entries["demo"], running.service.changes
        before = len(events._kept)
        lease = present(entry.lease)
        token = replace(lease.token, expires_at=present(lease.token.expires_at).after(1000))
        entry.lease = replace(lease, token=token)
        running.engine.announce("demo")
        assert len(events._kept) == before
        return utc(present(token.expires_at).wall)

    with running.client() as client:
        client.send(b'GET /v1/tokens/demo HTTP/1.1\r\nPrefer: wait=30\r\nIf-None-Match: "17"\r\n\r\n')
        assert eventually(lambda: waiting(running))
        expires = running.inside(extend)
        reply = running.get("/v1/tokens/demo")
        assert (reply.json["expires_at"], reply.json["generation"]) == (expires, 17)
        assert running.get("/v1/tokens/demo", If_None_Match='"17"').status == 304
        assert eventually(lambda: waiting(running)), "it still waits"
        running.inside(lambda: running.engine.renew("demo", generation=18))
        assert client.reply().json["generation"] == 18


def test_a_reload_that_takes_the_token_away_ends_the_wait(running: Served) -> None:
    """A new configuration may hide any token, without a change of its own."""
    with running.client() as client:
        client.send(b'GET /v1/tokens/demo HTTP/1.1\r\nPrefer: wait=30\r\nIf-None-Match: "17"\r\n\r\n')
        assert eventually(lambda: waiting(running))
        running.inside(lambda: running.engine.entries.pop("demo"))
        running.inside(lambda: running.service.changes.config_changed({"error": None}))
        assert client.reply().status == 404


def _events(client: Any, count: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    current: dict[str, str] = {}
    while len(found) < count:
        line = client.file.readline().decode()
        assert line, "the stream ended"
        if line == "\n" and current:
            found.append(current)
            current = {}
        elif ": " in line and not line.startswith(":"):
            key, _, value = line.rstrip("\n").partition(": ")
            current[key] = value
    return found


def test_events_show_new_generations_and_states_and_can_be_resumed(running: Served) -> None:
    """token and state events with rising integer ids and rows as data; Last-Event-ID continues after that one."""
    with running.client() as client:
        client.send(b"GET /v1/events HTTP/1.1\r\n\r\n")
        head = client.reply(head_only=True)
        assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
        assert eventually(lambda: waiting(running))
        running.inside(lambda: running.engine.renew("demo", generation=18))
        running.inside(lambda: running.engine.entries["demo"].changes.update(state=State.FAILING))
        running.inside(lambda: running.engine.announce("demo"))
        running.inside(lambda: running.service.changes.config_changed({"error": None}))
        events = _events(client, 3)
    assert [event["event"] for event in events] == ["token", "state", "config"]
    rows = [json.loads(event["data"]) for event in events]
    assert (rows[0]["name"], rows[0]["generation"], rows[1]["state"]) == ("demo", 18, "failing")
    assert RAW not in str(events)
    ids = [int(event["id"]) for event in events]
    assert ids == sorted(set(ids))
    with running.client() as client:
        client.send(f"GET /v1/events HTTP/1.1\r\nLast-Event-ID: {ids[0]}\r\n\r\n".encode())
        client.reply(head_only=True)
        assert _events(client, 2) == events[1:]


def test_events_show_what_becomes_of_a_token_in_a_store(running: Served) -> None:
    """A row of the list with the sink; another state or another drift is an event, a write or a file's state is not."""
    entry = running.engine.entries["demo"]
    file = SinkStatus("raw", "raw-1", "/run/x", "/run/x", "pending", True, None, None)
    store = SinkStatus("vault", "vault-2", "vault:secret/app#token", None, "pending", True, None, None)

    def becomes(*sinks: SinkStatus) -> None:
        running.inside(lambda: entry.changes.update(sinks=sinks))
        running.inside(lambda: running.engine.announce("demo"))

    becomes(file, store)
    with running.client() as client:
        client.send(b"GET /v1/events HTTP/1.1\r\n\r\n")
        client.reply(head_only=True)
        assert eventually(lambda: waiting(running))
        becomes(replace(file, state="failing"), store)
        store = replace(store, state="ok", last_success_at=START.wall, generation=17)
        becomes(file, store)
        becomes(file, replace(store, drift="none", last_success_at=START.after(1).wall, generation=18))
        becomes(file, replace(store, drift="changed"))
        becomes(file, replace(store, drift="changed"), replace(store, label="vault-3"))
        becomes(file)
        running.inside(lambda: running.service.changes.config_changed({"error": None}))
        *events, last = _events(client, 4)
    rows = [json.loads(event["data"]) for event in events]
    assert [event["event"] for event in events] == ["sink"] * 3
    assert last["event"] == "config"
    assert [(row["sink"]["label"], row["sink"]["state"], row["sink"]["drift"]) for row in rows] == [
        ("vault-2", "ok", None),
        ("vault-2", "ok", "changed"),
        ("vault-3", "ok", None),
    ]
    document = running.get("/openapi.json").json
    for event, row in zip(events, rows, strict=True):
        fits(document, "SinkEvent", event)
        fits(document, "SinkChange", row)
        assert row.items() >= running.get("/v1/tokens").json["tokens"][0].items()


def test_events_show_what_becomes_of_a_login(running: Served) -> None:
    """A row of the list with the login: a state, an account, a begin or a notice; not an end that refreshes move."""
    entry = running.engine.entries["demo"]
    login = LoginStatus("ok", "alice", START.wall, START.after(7 * 86400).wall, (), "tokend login demo")

    def becomes(now: LoginStatus | None) -> None:
        running.inside(lambda: entry.changes.update(login=now))
        running.inside(lambda: running.engine.announce("demo"))

    becomes(login)
    with running.client() as client:
        client.send(b"GET /v1/events HTTP/1.1\r\n\r\n")
        client.reply(head_only=True)
        assert eventually(lambda: waiting(running))
        becomes(replace(login, ends_at=START.after(8 * 86400).wall))
        becomes(replace(login, state="ends_soon", notices=("72h",)))
        becomes(replace(login, state="ends_soon", notices=("72h", "24h")))
        becomes(replace(login, state="pending", notices=("72h", "24h")))
        becomes(None)
        running.inside(lambda: running.service.changes.config_changed({"error": None}))
        *events, last = _events(client, 4)
    assert [event["event"] for event in (*events, last)] == ["login", "login", "login", "config"]
    rows = [json.loads(event["data"]) for event in events]
    assert [row["login"]["state"] for row in rows] == ["ends_soon", "ends_soon", "pending"]
    document = running.get("/openapi.json").json
    for event, row in zip(events, rows, strict=True):
        fits(document, "LoginEvent", event)
        fits(document, "LoginChange", row)
        assert row["login"]["command"] == "tokend login demo"


@pytest.mark.parametrize("last", [0, 5, LAST_EVENT - 1, LAST_EVENT + 1, 10**18 - 1])
def test_what_happened_after_an_unknown_event_is_replaced_by_the_present(running: Served, last: int) -> None:
    """An id of an earlier life, or one that was never given, gets the present rows, with ids of this life."""
    with _follow(running, last) as client:
        events = _events(client, 2)
    assert [json.loads(event["data"])["name"] for event in events] == ["demo", "wallet"]
    assert LAST_EVENT < int(events[0]["id"]) < int(events[1]["id"])


def test_what_happened_after_a_known_event_is_sent_once(running: Served) -> None:
    """Nothing where nothing happened; and not the present rows that another stream was given meanwhile."""
    changes = running.service.changes
    with _follow(running, LAST_EVENT) as client:
        assert eventually(lambda: waiting(running))
        with _follow(running, 0) as other:
            _events(other, 2)
        running.inside(lambda: changes.config_changed({"n": 1}))
        (event,) = _events(client, 1)
    assert (event["event"], event["data"]) == ("config", '{"n":1}')
    running.inside(lambda: changes.config_changed({"n": 2}))
    with _follow(running, int(event["id"])) as client:
        assert [one["data"] for one in _events(client, 1)] == ['{"n":2}']


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "1" * 19, "\xb2", "1 2", ""])
def test_what_is_no_id_is_400(running: Served, last: str) -> None:
    """Ids are what this stream has sent: up to 18 digits."""
    reply = running.get("/v1/events", Last_Event_ID=last)
    assert (reply.status, reply.code) == (400, "bad_request")


def test_more_at_once_than_is_kept_is_replaced_by_the_present(running: Served) -> None:
    """A reload may change thousands of tokens in one go: who follows misses none of them silently."""
    changes = running.service.changes

    def change_all() -> None:
        for number in range(EVENTS_KEPT + 1):
            changes.config_changed({"n": number})

    with _follow(running, LAST_EVENT) as client:
        assert eventually(lambda: waiting(running))
        running.inside(change_all)
        events = _events(client, 2)
        assert [json.loads(event["data"])["name"] for event in events] == ["demo", "wallet"]
        running.inside(lambda: changes.config_changed({"n": "after"}))
        assert _events(client, 1)[0]["data"] == '{"n":"after"}'
    with _follow(running, LAST_EVENT) as client:
        assert [json.loads(event["data"])["name"] for event in _events(client, 2)] == ["demo", "wallet"]


def test_who_may_not_read_a_token_hears_nothing_of_it(tmp_path: Path) -> None:
    """Neither changes nor present rows; a reload that lets them read it counts from then on."""
    engine = FakeEngine()
    engine.hold("hidden", access=Access(users=("nobody-like-this",)))
    engine.hold("demo")
    with served(tmp_path, engine, own_uid=54321, admins=()) as running:
        running.inside(lambda: setattr(running.service.policy, "_almighty", frozenset()))

        def renew(generation: int) -> None:
            for name in ("hidden", "demo"):
                engine.hold(name, generation=generation)
                engine.announce(name)

        with _follow(running, 0) as client:
            assert [json.loads(event["data"])["name"] for event in _events(client, 1)] == ["demo"]
            running.inside(lambda: renew(18))
            assert [json.loads(event["data"])["name"] for event in _events(client, 1)] == ["demo"]
            shown = engine.entries["hidden"].settings.model_copy(update={"access": None})
            running.inside(lambda: setattr(engine.entries["hidden"], "settings", shown))
            running.inside(lambda: renew(19))
            assert [json.loads(event["data"])["name"] for event in _events(client, 2)] == ["hidden", "demo"]


HIDDEN = Access(users=("nobody-like-this",))


def test_ids_are_the_clocks_microseconds_and_always_rise() -> None:
    """Gaps say how much time went by, and nothing about events of hidden tokens; also where the clock was set back."""

    async def listen() -> tuple[list[int], list[int]]:
        engine = FakeEngine()
        start = microseconds(START.wall)
        used: list[int] = []
        changes = EventBus(engine, last_event=start - 5, used=used.append)
        engine.hold("hidden", access=HIDDEN)
        for seconds in (0, 0, 1.5, -3600, 7):
            engine.clock.now = START.after(seconds)
            changes.config_changed({})
            engine.renew("hidden", generation=len(used), access=HIDDEN)
        stream = changes.follow(start - 5, lambda name: name != "hidden")
        async with asyncio.timeout(PATIENCE_SECONDS), aclosing(stream):
            text = await anext(stream)
        changes.close()
        return [int(line[4:]) for line in text.split(b"\n") if line.startswith(b"id: ")], used

    seen, used = asyncio.run(listen())
    start = microseconds(START.wall)
    assert seen == [start, start + 2, start + 1_500_000, start + 1_500_002, start + 7_000_000]
    assert used == [one for first in seen for one in (first, first + 1)]


def test_every_id_that_a_reader_was_not_sent_has_the_same_answer() -> None:
    """Of a hidden event, a moment between events, the future: the present. So trying ids finds nothing."""

    async def answers() -> list[bytes]:
        engine = FakeEngine()
        engine.hold("demo")
        engine.hold("hidden", access=HIDDEN)
        changes = EventBus(engine, last_event=7)
        ids: list[int] = []
        for number, name in enumerate(("demo", "hidden", "demo", "hidden")):
            engine.clock.now = START.after(number)
            engine.renew(name, generation=20 + number)
            ids.append(changes._number)
        found = []
        for last in (ids[0], ids[2], ids[1], ids[3], ids[1] + 1, ids[3] + 1, 0, 10**18 - 1):
            stream = changes.follow(last, lambda name: name != "hidden")
            async with asyncio.timeout(PATIENCE_SECONDS), aclosing(stream):
                text = await anext(stream)
            found.append(b" ".join(line.split(b" ", 1)[1] for line in text.split(b"\n") if b"event: " in line))
            engine.clock.now = engine.clock.now.after(1)
        changes.close()
        return found

    known, latest, *others = asyncio.run(answers())
    assert (known, latest) == (b"token", b"")
    assert others == [b"token"] * 6


def test_a_present_state_can_be_resumed_after_its_end_only(running: Served) -> None:
    """A reader that got a part of it gets all of it again."""
    with _follow(running, 0) as client:
        first, last = (int(event["id"]) for event in _events(client, 2))
    with _follow(running, last) as client:
        running.inside(lambda: running.service.changes.config_changed({"n": 1}))
        assert _events(client, 1)[0]["event"] == "config"
    with _follow(running, first) as client:
        assert [event["event"] for event in _events(client, 2)] == ["token", "token"]


def test_changes_of_hidden_tokens_do_not_move_the_comments() -> None:
    """The time between two comments would otherwise depend on them."""

    async def listen() -> bool:
        engine = FakeEngine()
        engine.hold("hidden", access=HIDDEN)
        changes = EventBus(engine, heartbeat_seconds=0.2)
        stream = changes.follow(None, lambda _: False)
        heard: list[bytes] = []

        async def disturb() -> None:
            for number in range(10_000):
                engine.renew("hidden", generation=100 + number, access=HIDDEN)
                await asyncio.sleep(0.01)

        async with asyncio.timeout(PATIENCE_SECONDS), aclosing(stream):
            heard.append(await anext(stream))
            disturbing = asyncio.create_task(disturb())
            heard.append(await anext(stream))
            disturbing.cancel()
        changes.close()
        return heard == [b": tokend\n\n", b": still here\n\n"]

    assert asyncio.run(listen())


def test_a_quiet_stream_has_comments() -> None:
    """They find dead peers, and keep proxies from cutting it; a change is still sent at once."""

    async def listen() -> list[bytes]:
        changes = EventBus(FakeEngine(), heartbeat_seconds=0.01)
        stream = changes.follow(None, lambda _: True)
        async with asyncio.timeout(PATIENCE_SECONDS), aclosing(stream):
            heard = [await anext(stream) for _ in range(3)]
            changes.config_changed({})
            while not heard[-1].startswith(b"id:"):
                heard.append(await anext(stream))
        changes.close()
        assert not changes._waiting
        return heard

    heard = asyncio.run(listen())
    assert heard[0] == b": tokend\n\n"
    assert set(heard[1:-1]) == {b": still here\n\n"}
    assert heard[-1] == b"id: %d\nevent: config\ndata: {}\n\n" % microseconds(START.wall)


def test_who_does_not_keep_up_is_let_go(running: Served) -> None:
    """Nothing more is kept for it than what fits into the buffers; it may come back with Last-Event-ID."""
    changes = running.service.changes
    with running.client() as client, running.client() as reader:
        for one in (client, reader):
            one.send(b"GET /v1/events HTTP/1.1\r\n\r\n")
        reader.reply(head_only=True)
        assert eventually(lambda: len(running.inside(lambda: changes._waiting[None])) == 2)

        def one_is_left() -> bool:
            running.inside(lambda: changes.config_changed({"error": "x" * 10_000}))
            assert _events(reader, 1)
            return len(running.inside(lambda: changes._waiting[None])) == 1

        # Long before a client that does not read is cut off altogether.
        assert running.server.limits.write_seconds > PATIENCE_SECONDS
        assert eventually(one_is_left)


@contextmanager
def _follow(running: Served, last: int) -> Iterator[Client]:
    with running.client() as client:
        client.send(f"GET /v1/events HTTP/1.1\r\nLast-Event-ID: {last}\r\n\r\n".encode())
        client.reply(head_only=True)
        yield client
