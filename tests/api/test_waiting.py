"""Long polls and the stream of events."""

import json
from typing import Any

from tests.api.fake_engine import RAW
from tests.api.served import Served, eventually
from tokend.status import State


def _waiting(running: Served) -> bool:
    return bool(running.inside(lambda: len(running.server.service.changes._waiting)))


def test_a_long_poll_answers_at_the_change(running: Served) -> None:
    """Prefer: wait with If-None-Match: 200 with the new token as soon as there is one."""
    with running.client() as client:
        client.send(b'GET /v1/tokens/demo HTTP/1.1\r\nPrefer: wait=30\r\nIf-None-Match: "17"\r\n\r\n')
        assert eventually(lambda: _waiting(running))
        running.inside(lambda: (running.engine.hold("demo", generation=18), running.engine.announce("demo")))
        assert client.reply().json["generation"] == 18
    assert running.get("/v1/tokens/demo", Prefer="wait=30").json["generation"] == 18


def test_a_long_poll_that_runs_out_is_304_or_504(running: Served) -> None:
    """With If-None-Match nothing new is 304; without it no valid token is 504."""
    assert running.get("/v1/tokens/demo", Prefer="wait=0", If_None_Match='"17"').status == 304
    running.engine.entries["demo"].lease = None
    reply = running.get("/v1/tokens/demo", Prefer="respond-async, wait=0")
    assert (reply.status, reply.code) == (504, "timeout")


def test_a_long_poll_dies_with_its_client(running: Served) -> None:
    """A client that leaves frees what waited for it."""
    client = running.client()
    client.send(b'GET /v1/tokens/demo HTTP/1.1\r\nPrefer: wait=300\r\nIf-None-Match: "17"\r\n\r\n')
    assert eventually(lambda: _waiting(running))
    client.close()
    assert eventually(lambda: not _waiting(running))
    assert eventually(lambda: running.server.connections == 0)


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


def test_events_tell_new_generations_and_states_and_can_be_resumed(running: Served) -> None:
    """token and state events with rising integer ids and rows as data; Last-Event-ID continues after that one."""
    with running.client() as client:
        client.send(b"GET /v1/events HTTP/1.1\r\n\r\n")
        head = client.reply(head_only=True)
        assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
        assert eventually(lambda: _waiting(running))
        running.inside(lambda: (running.engine.hold("demo", generation=18), running.engine.announce("demo")))
        running.inside(lambda: running.engine.entries["demo"].changes.update(state=State.FAILING))
        running.inside(lambda: running.engine.announce("demo"))
        running.inside(lambda: running.server.service.changes.config_changed({"error": None}))
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


def test_events_from_before_a_restart_are_replaced_by_the_present(running: Served) -> None:
    """An id that this run does not know gets the present rows, with higher ids."""
    with running.client() as client:
        client.send(b"GET /v1/events HTTP/1.1\r\nLast-Event-ID: 5\r\n\r\n")
        client.reply(head_only=True)
        events = _events(client, 2)
    assert [json.loads(event["data"])["name"] for event in events] == ["demo", "wallet"]
    assert 5 < int(events[0]["id"]) < int(events[1]["id"])
    assert running.get("/v1/events", Last_Event_ID="x").status == 400
