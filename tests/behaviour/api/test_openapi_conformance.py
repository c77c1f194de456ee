"""Answers and events of the real daemon, compared with its own description."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.api.described import fits, is_described
from tests.daemon.harness import PATIENCE_SECONDS, Daemon, Home, until
from tests.daemon.tables import ALL_KINDS, PARTNER

Event = dict[str, str]


@contextmanager
def following(daemon: Daemon, last: int | None = None) -> Iterator[Iterator[Event]]:
    """The stream of events."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_SECONDS)
        client.connect(str(daemon.home.socket))
        since = "" if last is None else f"Last-Event-ID: {last}\r\n"
        client.sendall(f"GET /v1/events HTTP/1.1\r\nHost: x\r\n{since}\r\n".encode())
        with client.makefile("rb") as lines:
            while lines.readline() != b": tokend\n":
                pass
            yield events(lines)


def events(lines: Any) -> Iterator[Event]:
    event: Event = {}
    for line in lines:
        if line == b"\n" and event:
            yield event
            event = {}
        elif not line.startswith(b":") and line != b"\n":
            key, _, value = line.decode().rstrip("\n").partition(": ")
            event[key] = value


def is_an_event(document: dict[str, Any], event: Event) -> None:
    """Fail unless the document describes it and what it carries."""
    shape = "ConfigEvent" if event["event"] == "config" else "TokenEvent"
    fits(document, shape, event)
    inside = document["components"]["schemas"][shape]["properties"]["data"]["contentSchema"]["$ref"].rpartition("/")[2]
    fits(document, inside, json.loads(event["data"]))


def test_status_refusals_and_events_of_a_daemon_in_trouble_are_as_described(home: Home) -> None:
    """Failing sinks and upstreams, a refused configuration, a forgotten token: rows, 422, each kind of event."""
    (home.path / "out" / "bot.env").mkdir()
    broken = ALL_KINDS.replace(
        '[providers.tt]\nkind = "tt"\nbase_url = "{url}"',
        '[providers.tt]\nkind = "tt"\nrequired = false\nbase_url = "http://127.0.0.1:9"',
    )
    daemon = home.start(broken)
    document = daemon.get("/openapi.json").json
    until(lambda: daemon.row("tt")["last_error"] and daemon.row("px")["sinks"][0]["error"], "trouble")
    is_described(document, daemon.get("/v1/status"), "get", "/v1/status")
    is_described(document, daemon.get("/v1/tokens"), "get", "/v1/tokens")
    is_described(document, daemon.get("/readyz"), "get", "/readyz")
    is_described(document, daemon.get("/v1/tokens/tt"), "get", "/v1/tokens/{name}")
    with following(daemon) as stream:
        assert daemon.ask("POST", "/v1/tokens/partner/forget").status == 200
        seen = [next(stream)]
        while (seen[-1]["event"], json.loads(seen[-1]["data"])["valid"]) != ("token", True):
            seen.append(next(stream))
        home.save(home.config, home.text(broken) + "[providers.px]\nno TOML\n")
        answer = daemon.ask("POST", "/v1/reload")
        assert answer.status == 422
        is_described(document, answer, "post", "/v1/reload")
        while seen[-1]["event"] != "config":
            seen.append(next(stream))
    for event in seen:
        is_an_event(document, event)
    assert {event["event"] for event in seen} == {"token", "state", "config"}


def test_ids_of_events_rise_across_a_restart_whatever_the_clock_says(home: Home) -> None:
    """A client with an id of the previous process gets the present rows; the state says where ids begin."""
    daemon = home.start(PARTNER).settled()
    with following(daemon, 0) as stream:
        last = int(next(stream)["id"])
    reserved = int((home.path / "state" / "events").read_text())
    assert reserved > last + 10**6  # a crash now gives no id twice
    daemon.end()
    taken = int((home.path / "state" / "events").read_text())
    assert last <= taken < reserved  # what was not used is given back: ids go on with the clock
    # As after a step of the clock, back by some thirty years.
    (home.path / "state" / "events").write_text(f"{taken + 10**12}\n")
    daemon = home.start().settled()
    with following(daemon, last) as stream:
        event = next(stream)
    assert json.loads(event["data"])["name"] == "partner"
    assert int(event["id"]) == taken + 10**12 + 1
