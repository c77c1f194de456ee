"""The requests of the clients, as bytes of the HTTP interface."""

import json

import pytest

from tokend.client import calls


def test_a_body_is_json_and_says_so() -> None:
    """Without one there is no Content-Type; JSON is what every answer must be."""
    bare, full = calls.call("GET", "/v1/tokens"), calls.call("POST", "/v1/reload", {"path": "a"})
    assert (bare.headers, bare.body) == ((("Accept", "application/json"),), b"")
    assert ("Content-Type", "application/json") in full.headers
    assert json.loads(full.body) == {"path": "a"}


@pytest.mark.parametrize(("seconds", "query"), [(None, ""), (60, "?min_ttl=60000ms"), (0.0001, "?min_ttl=1ms")])
def test_min_ttl_is_a_duration_of_the_interface(seconds: float | None, query: str) -> None:
    """In milliseconds, at least one: 0 is no duration."""
    assert calls.get("tt", seconds).target == f"/v1/tokens/tt{query}"


def test_a_report_names_only_what_is_known() -> None:
    """No null members: the daemon takes integers and strings."""
    assert json.loads(calls.refresh("tt", None, None).body) == {}
    assert json.loads(calls.refresh("tt", 7, "unauthorized").body) == {"if_generation": 7, "reason": "unauthorized"}


def test_a_sync_names_what_is_asked_for() -> None:
    """One sink or all; a conflict is ended only where that is said."""
    assert calls.sync("tt", None, False).target == "/v1/tokens/tt/sync"
    assert json.loads(calls.sync("tt", None, False).body) == {}
    assert json.loads(calls.sync("tt", "vault-1", True).body) == {"sink": "vault-1", "take_over": True}


@pytest.mark.parametrize("name", ["a/b", "../tt", "ä", "a?b#c", "\udcff"])
def test_a_name_stays_one_segment_of_the_path(name: str) -> None:
    """Whatever characters it has."""
    target = calls.token_target(name, "issue")
    assert target.isascii()
    assert target.count("/") == 4
    assert not {"?", "#"} & set(target)


@pytest.mark.parametrize(
    ("path", "query", "body", "sent"),
    [
        ("/api/x", "", "", ("/api/x", "", "")),
        ("/api/x?b=2&a=1", "", "", ("/api/x", "b=2&a=1", "")),
        ("/api/x", "a=1", "", ("/api/x", "a=1", "")),
        ("/api/x", "", '{"ä":1}'.encode(), ("/api/x", "", '{"ä":1}')),
        ("/api/x", "", '{"a": 1}', ("/api/x", "", '{"a": 1}')),
    ],
)
def test_a_signature_is_asked_for_what_is_sent(path: str, query: str, body: str | bytes, sent: tuple[str, ...]) -> None:
    """The query may stand in the path, as in a URL; the body is not touched."""
    found = calls.sign("login-links", "POST", path, query, body)
    assert found.target == "/v1/tokens/login-links/sign"
    assert json.loads(found.body) == dict(zip(("method", "path", "query", "body"), ("POST", *sent), strict=True))


def test_a_repr_shows_no_parameter() -> None:
    """Parameters of an issue may be secret."""
    assert "fake-secret" not in repr(calls.issue("wallet", {"orderId": "fake-secret"}))
