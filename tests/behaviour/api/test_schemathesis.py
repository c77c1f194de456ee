"""Schemathesis against a real daemon: it makes requests of the document, right and wrong, and compares the answers.

It takes some minutes and is a program of its own, which need not be installed beside these tests; so it runs only where
``TOKEND_SCHEMATHESIS`` names it. Its upstreams are the sandbox: nothing has to be left out, not even reload and forget.
"""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.behaviour.api.test_loopback_port import SECRET, get, listening
from tests.daemon.harness import Daemon, Home, at_home, loopback_address
from tests.daemon.tables import ALL_KINDS

PROGRAM = os.environ.get("TOKEND_SCHEMATHESIS", "")
pytestmark = pytest.mark.skipif(
    not PROGRAM, reason="takes minutes: set TOKEND_SCHEMATHESIS to the program (pip install schemathesis)"
)

# The same requests each time, as far as they do not depend on what was answered.
SEED = "1"
# A 500 is a bug; these two are typed answers that a client has to expect of any token.
UNAVAILABLE = ["503", "504"]
# What the document allows, and only another state of things, or another peer, would be granted.
WELL_FORMED = ["2xx", "3xx", "401", "403", "404", "409", "429", *UNAVAILABLE]
NOT_THIS_KIND = "405"
# A text that is much too long is a body that is too long.
REFUSED = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "5xx"]
# The minimum interval of 5 s between two attempts (10 s with one TT key), and the 30 s that a refresh may take.
MOST_SECONDS = "40"

TEXT = {"type": "string", "minLength": 1}
SIGNED = {**TEXT, "pattern": "^[^#]*$"}
ORDER = ("currency", "amount", "orderId")
# What the on-demand tokens of `ALL_KINDS` take: the document cannot know.
PARAMETERS: Mapping[str, dict[str, Any]] = {
    "wallet": {
        "properties": {"url": TEXT, **dict.fromkeys(ORDER, SIGNED)},
        "required": ["url"],
        "dependentRequired": {name: [other for other in ORDER if other != name] for name in ORDER},
    },
    "links": {
        "properties": {
            "clientId": {**TEXT, "maxLength": 255},
            "username": {**TEXT, "maxLength": 100},
            "displayName": {**TEXT, "maxLength": 100},
            "ipAddress": {"type": "string", "format": "ipv4"},
        },
        "required": ["clientId", "username", "displayName", "ipAddress"],
    },
}
# Calls about a token that only admins may make.
ADMINS = ("forget", "sync", "inspect")
# The one call that `ALL_KINDS` lets be signed. The document allows any path; a query and a body depend on the method.
SIGNING = {
    "type": "object",
    "properties": {"method": {"enum": ["GET"]}, "path": {"enum": ["/api/v1/get-balance"]}},
    "required": ["method", "path"],
    "additionalProperties": False,
}
# An attempt costs its minimum interval of 5 s, so only the kind that is made here is tried.
NAMES = {
    "": ["px", "tt", "partner"], "refresh": ["partner"], "forget": ["partner"], "request-id": ["tt"],
    "sync": ["partner"], "inspect": ["partner"], "login": ["web"], "login/{id}": ["web"], "logout": ["web"],
}  # fmt: skip
# A token that nobody needs: a person would have to log in.
TABLES = (
    ALL_KINDS
    + """
[providers.web]
kind = "oauth2"
grant = "authorization_code"
issuer = "{url}/oauth2"
client_id = "sandbox-oauth2-client"
client_secret = {{ file = "s/oauth2" }}
required = false
"""
)
# What the document calls an address must be one of this machine.
BEGINNING = {"flow": {"enum": ["browser", None]}, "redirect_uri": {"enum": ["http://127.0.0.1:9/", None]}}


def of_this_daemon(document: dict[str, Any]) -> dict[str, Any]:
    """The document, with the names of this daemon's tokens, and what they can do and take."""
    found = deepcopy(document)
    issue, sign = (found["paths"].pop(f"/v1/tokens/{{name}}/{call}") for call in ("issue", "sign"))
    for path, methods in found["paths"].items():
        for parameter in [one for operation in methods.values() for one in operation.get("parameters", ())]:
            if parameter["name"] == "id":
                parameter["schema"] = {"enum": ["no-login-has-this-id"]}
            elif parameter["in"] == "path":
                parameter["schema"] = {"enum": NAMES[path.removeprefix("/v1/tokens/{name}").lstrip("/")]}
    # A file to plan needs dry_run=true, which no schema can say of a query and a body together.
    del found["paths"]["/v1/reload"]["post"]["requestBody"]
    syncing = found["paths"]["/v1/tokens/{name}/sync"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    syncing["properties"]["sink"] = {"enum": ["raw-1", None]}  # the labels of this token's sinks
    begun = found["paths"]["/v1/tokens/{name}/login"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    begun["properties"] |= BEGINNING
    reading = found["paths"]["/v1/tokens/{name}"]["get"]
    reading["parameters"] = [one for one in reading["parameters"] if one["name"] != "format"]  # none is a pair of keys
    for name, parameters in PARAMETERS.items():
        own = found["paths"][f"/v1/tokens/{name}/issue"] = deepcopy(issue)
        del own["post"]["parameters"]
        schema = {"type": "object", "additionalProperties": False, **parameters}
        own["post"]["requestBody"]["content"]["application/json"]["schema"] = schema
    own = found["paths"]["/v1/tokens/links/sign"] = sign
    del own["post"]["parameters"]
    own["post"]["requestBody"]["content"]["application/json"]["schema"] = SIGNING
    return found


@pytest.fixture
def home() -> Iterator[Home]:
    with at_home() as one:
        one.secret("oauth2", "sandbox-oauth2-secret")
        yield one


def test_requests_of_all_forms_on_the_unix_socket(home: Home) -> None:
    """Issue 4, 1: each parameter and each body in every right and wrong form, then at random; all operations."""
    daemon = home.start(TABLES).settled()
    with relayed(home.socket) as relay:
        document = of_this_daemon(daemon.get("/openapi.json").json)
        seen = schemathesis(home, document, relay, phases="examples,coverage,fuzzing", examples=50)
    assert granted(document) <= seen
    harmless(daemon)


def test_sequences_of_requests_on_the_unix_socket(home: Home) -> None:
    """Names are taken out of lists: each call meets each kind of token, also one that has just been forgotten."""
    daemon = home.start(TABLES).settled()
    with relayed(home.socket) as relay:
        document = of_this_daemon(daemon.get("/openapi.json").json)
        seen = schemathesis(home, document, relay, phases="stateful", examples=8, also=[NOT_THIS_KIND])
    assert {200, 405} <= {status for _, path, status in seen if path.startswith("/v1/tokens/")}
    harmless(daemon)


def test_requests_of_all_forms_on_the_loopback_port(home: Home) -> None:
    """With its secret, by its own document; what needs none is refused without (`ignored_auth`)."""
    home.secret("listen", SECRET)
    listen = loopback_address()
    home.write(TABLES, daemon=listening(listen))
    daemon = home.start().settled()
    bearer = f"Bearer {SECRET}"
    document = of_this_daemon(get(listen, "/openapi.json", bearer).json)
    # Nobody cuts the stream here: it is left to the Unix socket.
    del document["paths"]["/v1/events"]
    options = ["--header", f"Authorization: {bearer}"]
    seen = schemathesis(home, document, listen, phases="examples,coverage,fuzzing", examples=30, options=options)
    for_admins = {("POST", "/v1/reload", 200), *(("POST", f"/v1/tokens/partner/{one}", 200) for one in ADMINS)}
    for_admins |= {("POST", "/v1/tokens/web/login", 201), ("POST", "/v1/tokens/web/logout", 200)}
    assert granted(document) - for_admins <= seen
    assert not for_admins & seen
    assert any(status == 401 for _, _, status in seen)
    harmless(daemon)


# ------------------------------------------------------------------ the program


def schemathesis(
    home: Home,
    document: Mapping[str, Any],
    where: str,
    *,
    phases: str,
    examples: int,
    also: Collection[str] = (),
    options: Collection[str] = (),
) -> set[tuple[str, str, int]]:
    """Run it with all of its checks; returns method, path and status of all that was asked."""
    place = home.path / "st"
    place.mkdir()
    (place / "document.json").write_text(json.dumps(document))
    (place / "config.toml").write_text(
        "[checks]\n"
        f"not_a_server_error.expected-statuses = {['2xx', '3xx', '4xx', *UNAVAILABLE]}\n"
        f"positive_data_acceptance.expected-statuses = {[*WELL_FORMED, *also]}\n"
        f"negative_data_rejection.expected-statuses = {REFUSED}\n"
    )
    done = subprocess.run(
        [
            PROGRAM, "--config-file", "config.toml", "run", "document.json", "--url", f"http://{where}",
            "--checks", "all", "--mode", "all", "--phases", phases, "--max-examples", str(examples), "--seed", SEED,
            "--request-timeout", MOST_SECONDS, "--max-response-time", MOST_SECONDS,
            "--report", "har", "--report-har-path", "report.har",
            "--generation-database", "none", "--no-color", *options,
        ],
        cwd=place, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    entries = json.loads((place / "report.har").read_text())["log"]["entries"]
    return {
        (entry["request"]["method"], urlsplit(entry["request"]["url"]).path, entry["response"]["status"])
        for entry in entries
    }


def granted(document: Mapping[str, Any]) -> set[tuple[str, str, int]]:
    """What must have been seen of each operation, lest it was only ever refused: a good answer to its first name."""
    good = set()
    for path, methods in document["paths"].items():
        if "{id}" in path:
            continue  # of a login that is under way, and that only its beginner knows
        for method, operation in methods.items():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    path = path.replace("{name}", parameter["schema"]["enum"][0])
            good.add((method.upper(), path, 201 if "201" in operation["responses"] else 200))
    return good


def harmless(daemon: Daemon) -> None:
    """No bug in the log, and it ends with status 0."""
    assert daemon.get("/livez").status == 200
    assert not [line for line in daemon.log() if "level=error" in line or "level=critical" in line]
    assert daemon.end() == 0


@contextmanager
def relayed(path: Path) -> Iterator[str]:
    """A TCP port that leads to a Unix socket. A stream of events, which never ends, is cut after its first piece."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        threading.Thread(target=_accept, args=(listener, path), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, path: Path) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=(client, path), daemon=True).start()


def _relay(client: socket.socket, path: Path) -> None:
    with client, socket.socket(socket.AF_UNIX) as server:
        server.connect(str(path))
        forth = threading.Thread(target=_pour, args=(client, server), daemon=True)
        forth.start()
        _pour(server, client)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        forth.join()


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
            if b"\r\nContent-Type: text/event-stream\r\n" in piece:
                break
        target.shutdown(socket.SHUT_WR)
