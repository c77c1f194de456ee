"""`tokend.client`: tokens as Python values from a real daemon, and from files only where the socket is away.

Every test runs with `TokenClient` and with `AsyncTokenClient`: calls, errors and the fallback are the same.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import Running, short_directory
from tests.client.blocking import Blocking
from tests.client.fake_daemon import answering, http, problem
from tokend.client import (
    BadRequestError,
    NotRunningError,
    TokenClient,
    TokendError,
    UnavailableError,
    UnknownTokenError,
)

Make = Callable[..., Any]
FAKE = "eyJhbGciOiJub25lIn0.e30.fake"


@pytest.fixture
def files() -> Iterator[Path]:
    """A directory for token files."""
    with short_directory() as directory:
        yield directory


@pytest.fixture(params=[TokenClient, Blocking], ids=["TokenClient", "AsyncTokenClient"])
def make(request: pytest.FixtureRequest) -> Make:
    """Each class of client."""
    found: Make = request.param
    return found


@pytest.fixture
def client(make: Make, running: Running) -> Any:
    """A client of the running daemon."""
    return make(str(running.socket))


@pytest.fixture
def away(make: Make, files: Path) -> Any:
    """A client whose socket is away."""
    return make(str(files / "missing.sock"), files=str(files))


def document(**changed: Any) -> dict[str, Any]:
    """A token file in the native layout, valid for an hour."""
    expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    return {
        "version": 1, "name": "tt", "access_token": FAKE, "token_type": "bearer", "issued_at": "2025-01-01T00:00:00Z",
        "expires_at": expires, "expires_at_unix": 0, "refresh_at": None, "generation": 17,
        "fingerprint": "0123456789ab",
        **changed,
    }  # fmt: skip


def write(files: Path, content: object, name: str = "tt") -> None:
    """Put a token file in place."""
    (files / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))


def test_a_lease_has_all_that_a_caller_needs(client: Any, running: Running) -> None:
    """Token, headers ready to send, an aware expiry, generation, fingerprint."""
    lease = client.get("tt", min_ttl=60)
    assert lease.name == "tt"
    assert lease.headers["Authorization"] == f"Bearer {lease.access_token}"
    assert lease.headers["x-api-key"] == "sandbox-tt-key"
    assert lease.expires_at is not None
    assert lease.expires_at.tzinfo is UTC or lease.expires_at.utcoffset() == timedelta(0)
    assert lease.fingerprint == running.row("tt")["fingerprint"]
    assert lease.generation == running.row("tt")["generation"]


def test_a_lease_shows_no_secret(client: Any) -> None:
    """Neither repr nor str nor a format: a lease may stand in a log."""
    lease = client.get("tt")
    for text in (repr(lease), str(lease), f"{lease}", f"{[lease]}"):
        assert lease.access_token not in text
        assert "sandbox-tt-key" not in text


def test_a_min_ttl_that_no_token_meets_is_refused(client: Any) -> None:
    """`min_ttl` in seconds: a promise or a typed error."""
    with pytest.raises(UnavailableError, match="a fresh token lives"):
        client.get("topstepx", min_ttl=2 * 86400)


def test_refresh_brings_a_newer_token_unless_there_is_one(client: Any) -> None:
    """Unconditionally: newer. With the generation that failed: the one that is newer already, without another."""
    first = client.get("private")
    second = client.refresh("private", reason="test")
    assert (second.generation or 0) > (first.generation or 0)
    assert client.refresh("private", if_generation=first.generation).generation == second.generation
    with pytest.raises(BadRequestError) as caught:
        client.refresh("private", if_generation=(second.generation or 0) + 1000)
    assert caught.value.code == "generation_conflict"


def test_issue_takes_parameters_by_keyword(client: Any) -> None:
    """Each call another token; what else the upstream gave is in `extra`."""
    user = {"clientId": "C", "username": "demo", "displayName": "Demo", "ipAddress": "127.0.0.1"}
    first, second = (client.issue("login-links", **user) for _ in range(2))
    assert first.access_token != second.access_token
    assert first.generation is None
    assert first.extra["loginLink"].endswith(first.access_token)
    assert first.access_token not in repr(first)


def test_a_signature_is_the_headers_of_one_call(make: Make) -> None:
    """The daemon is asked for what will be sent, and its headers are returned as they are."""
    headers = {"x-timestamp": "1706802000", "x-signature": "fake"}
    with answering(http(json.dumps({"version": 1, "headers": headers}).encode())) as fake:
        client = make(fake.path)
        assert client.sign("login-links", "GET", "/api/v1/get-balance?clientId=1") == headers
    head, _, body = fake.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/tokens/login-links/sign HTTP/1.1\r\n")
    assert json.loads(body) == {"method": "GET", "path": "/api/v1/get-balance", "query": "clientId=1", "body": ""}


def test_a_signature_that_the_daemon_refuses_is_an_error(make: Make) -> None:
    """A path that the configuration does not list, or a kind that signs no requests."""
    with answering(problem(405, "not_supported")) as fake, pytest.raises(BadRequestError) as caught:
        make(fake.path).sign("tt", "POST", "/x", body=b"{}")
    assert caught.value.code == "not_supported"


def test_wrong_parameters_come_back_field_by_field(client: Any) -> None:
    """`errors` maps fields to texts; a parameter may be called anything, also `name`."""
    with pytest.raises(BadRequestError) as caught:
        client.issue("wallet", name="x", self="y")
    assert isinstance(caught.value.errors, dict)
    assert set(caught.value.errors) == {"url", "name", "self"}


def test_the_rest_of_the_interface_is_there(client: Any) -> None:
    """Request ids, list, status, reload; unknown names are an error of their own."""
    assert client.request_id("tt").startswith("Test-YourCompany--")
    assert {row["name"] for row in client.list()} >= {"tt", "wallet"}
    assert client.status()["version"] == 1
    assert client.reload(dry_run=True) == []
    for name in ("nosuch", "a/b", "../tt"):
        with pytest.raises(UnknownTokenError):
            client.get(name)


def test_sinks_are_written_to_and_looked_at_now(client: Any) -> None:
    """The row of the status; an unknown label is an error with its field."""
    [sink] = client.sync("tt")["sinks"]
    assert (sink["label"], sink["state"]) == ("json-1", "ok")
    assert client.sync("tt", sink="json-1", take_over=True)["name"] == "tt"
    assert client.inspect("tt")["sinks"][0]["drift"] == "none"
    with pytest.raises(BadRequestError) as caught:
        client.sync("tt", sink="raw-1")
    assert caught.value.errors == {"sink": ["must be one of json-1"]}


def test_watch_gives_the_token_now_and_each_newer_one(client: Any) -> None:
    """Without missing one, without giving one twice."""
    leases = client.watch("private")
    first = next(leases)
    newer = client.refresh("private")
    second = next(leases)
    assert second.generation == newer.generation
    assert second.access_token != first.access_token
    leases.close()


def test_watch_waits_through_an_absence_and_raises_what_waiting_cannot_fix(make: Make) -> None:
    """No token yet, a torn answer: asked again. Denied or unknown: raised."""
    token = http(json.dumps(document()).encode())
    with answering(problem(503, "token_unavailable"), token, problem(403, "denied")) as fake:
        leases = make(fake.path).watch("tt")
        assert next(leases).access_token == FAKE
        with pytest.raises(TokendError, match="why"):
            next(leases)
    assert b"If-None-Match" not in fake.requests[1]
    assert b'If-None-Match: "17"' in fake.requests[2]


@pytest.mark.parametrize(
    "answer",
    [
        b"[]", b"", b"null", b"{", b"{}", b"\xff",
        {"access_token": None},
        {"access_token": ""},
        {"access_token": []},
        {"expires_at": 5},
        {"expires_at": "2030-01-01T00:00:00"},
        {"expires_at": "soon"},
    ],
)  # fmt: skip
def test_an_answer_that_is_no_token_is_not_taken_for_one(
    make: Make, answer: bytes | dict[str, Any], files: Path
) -> None:
    """Something else answers 200: a typed error, never a `None` that is sent as a token."""
    body = answer if isinstance(answer, bytes) else json.dumps(document(**answer)).encode()
    with answering(http(body)) as fake, pytest.raises(NotRunningError, match=r"no token of tokend|is not tokend"):
        make(fake.path, files=str(files)).get("tt")


def test_the_file_is_read_where_the_socket_is_away(away: Any, files: Path) -> None:
    """$TOKEND_FILES/NAME.json in the native layout, with an Authorization header made of it."""
    write(files, document())
    lease = away.get("tt", min_ttl=3000)
    assert (lease.access_token, lease.generation) == (FAKE, 17)
    assert lease.headers == {"Authorization": f"Bearer {FAKE}"}


def test_a_file_without_an_end_is_valid(away: Any, files: Path) -> None:
    """`expires_at` null: a token without end."""
    write(files, document(expires_at=None))
    assert away.get("tt", min_ttl=1e6).expires_at is None


def test_the_file_that_a_sink_wrote_is_a_fallback(make: Make, running: Running) -> None:
    """The native layout of the `json` sink, as it is."""
    client = make(str(running.directory / "missing.sock"), files=str(running.directory))
    assert client.get("tt").access_token == running.client.get("tt").access_token


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "\x00",
        partial(document, expires_at="2020-01-01T00:00:00Z"),
        partial(document, name="other"),
        partial(document, version=2),
        partial(document, access_token=None),
        partial(document, expires_at="2030-01-01T00:00:00"),
        lambda: {key: value for key, value in document().items() if key != "expires_at"},
        {"status": "Ok", "access_token": FAKE, "token_type": "bearer", "seconds_until_expiry": 43200,
         "acquisition_time": "2025-01-01T00:00:00"},
    ],
)  # fmt: skip
def test_a_file_that_is_expired_foreign_or_broken_is_no_fallback(away: Any, files: Path, content: object) -> None:
    """Only a native file of this very token, unexpired; else the error is the socket's."""
    write(files, content() if callable(content) else content)
    with pytest.raises(NotRunningError, match="no daemon at"):
        away.get("tt")


def test_a_file_that_does_not_last_long_enough_is_no_fallback(away: Any, files: Path) -> None:
    """`min_ttl` holds for the file too."""
    write(files, document())
    with pytest.raises(NotRunningError):
        away.get("tt", min_ttl=3601)


@pytest.mark.parametrize("name", ["../tt", "a/../../tt", "/etc/tt", "..", ".hidden", "TT", ""])
def test_a_name_never_leads_out_of_the_directory(make: Make, files: Path, name: str) -> None:
    """Names are names, not paths."""
    (files / "inner").mkdir()
    write(files, document(name=name))
    write(files, document(name=name), name=".hidden")
    with pytest.raises(NotRunningError):
        make(str(files / "missing.sock"), files=str(files / "inner")).get(name)


def test_only_get_falls_back_and_only_where_nobody_answers(away: Any, make: Make, files: Path) -> None:
    """A daemon that refuses is obeyed; a refresh needs the daemon."""
    write(files, document())
    with pytest.raises(NotRunningError):
        away.refresh("tt")
    with answering(problem(503, "token_unavailable")) as fake, pytest.raises(UnavailableError):
        make(fake.path, files=str(files)).get("tt")


def test_a_timeout_is_the_callers(make: Make, files: Path) -> None:
    """`timeout` in seconds for each request."""
    write(files, document())
    with answering(lambda connection: connection.recv(1) and None) as fake, pytest.raises(UnavailableError):
        make(fake.path, files=str(files), timeout=0.2).get("tt")


def test_a_lease_says_whether_calls_need_request_ids(client: Any) -> None:
    """By the daemon's word: `tt` in the query, the others not; from every way to get a lease."""
    assert client.get("tt").request_id_parameter == "requestId"
    assert next(client.watch("tt")).request_id_parameter == "requestId"
    generation = client.get("tt").generation
    assert client.refresh("tt", if_generation=generation - 1).request_id_parameter == "requestId"
    assert client.get("topstepx").request_id_parameter is None


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"tokens": 5, "plan": [5], "request_id": 5},
        {"name": "x", "access_token": FAKE, "token_type": "Bearer", "generation": "1\r\nX: y"},
        {"name": "x", "access_token": FAKE, "token_type": "Bearer", "fingerprint": [1]},
        {"name": "x", "access_token": FAKE, "token_type": "Bearer", "extra": 5},
    ],
)
def test_an_answer_of_another_form_is_an_error_of_the_client(make: Make, answer: dict[str, Any]) -> None:
    """Each method promises a `TokendError`, whatever program answers."""
    with answering(http(json.dumps(answer).encode())) as fake:
        client = make(fake.path)
        for ask in (lambda: client.get("x"), client.list, client.reload, lambda: client.request_id("x")):
            with pytest.raises(NotRunningError, match="of tokend"):
                ask()
