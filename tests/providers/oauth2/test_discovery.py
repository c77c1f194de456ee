"""Metadata of servers: where they are asked for, what is refused, and the copy that is kept."""

from typing import Any

import pytest

from tests.providers.live import NOW, at, env
from tests.providers.oauth2.asking import granted
from tests.providers.oauth2.discovering import NOT_FOUND, discover, metadata
from tests.upstream.loopback import Behaviour, raw, reply, reset
from tokend.plugin.login import Remembered
from tokend.values.errors import RateLimitedError, RejectedError, ServerSettingsError, TransientError
from tokend.values.tokens import JSON, Token

PUBLIC: dict[str, Any] = {
    "grant": "token_exchange", "client_id": None, "client_secret": None, "subject_token": env("API_KEY"),
    "issuer": None, "resource": "URL/mcp/a",
}  # fmt: skip


def usual(url: str) -> dict[str, Any]:
    return {"issuer": url, "token_endpoint": f"{url}/its/token"}


def targets(loopback: Any) -> list[str]:
    return [request.target for request in loopback.requests]


def test_the_token_endpoint_is_found_by_the_issuer() -> None:
    """RFC 8414; the request for metadata holds no secret."""
    outcome, loopback = discover(usual, granted())
    assert isinstance(outcome, Token), outcome
    assert targets(loopback) == ["/.well-known/oauth-authorization-server", "/its/token"]
    assert loopback.requests[0].method == "GET"
    assert "authorization" not in loopback.requests[0].headers


def test_what_rfc_8414_does_not_find_openid_discovery_does() -> None:
    """A path stands behind the well-known name, or before it."""
    outcome, loopback = discover(
        lambda url: usual(url + "/realms/x") | {"token_endpoint": url + "/t"},
        granted(),
        first=(NOT_FOUND,),
        path="/realms/x",
    )
    assert isinstance(outcome, Token), outcome
    assert targets(loopback) == [
        "/.well-known/oauth-authorization-server/realms/x", "/realms/x/.well-known/openid-configuration", "/t",
    ]  # fmt: skip


@pytest.mark.parametrize("status", [401, 403, 404, 500, 501])
def test_a_server_that_does_not_know_the_first_place_is_asked_at_the_next(status: int) -> None:
    """Some servers fail at a path that they do not know. 503 is an outage: it is asked once."""
    outcome, loopback = discover(usual, granted(), first=(reply(b"planted", status=status),))
    assert isinstance(outcome, Token), outcome
    assert targets(loopback)[1] == "/.well-known/openid-configuration"
    away, loopback = discover(usual, granted(), first=(reply(b"planted", status=503),))
    assert isinstance(away, TransientError)
    assert len(loopback.requests) == 1


@pytest.mark.parametrize("said", ["URL/", "URL/x", "http://127.0.0.1", "", None])
def test_another_issuer_is_refused(said: str | None) -> None:
    """Byte for byte: the server of the metadata says whose they are. A document without an issuer is none."""
    outcome, loopback = discover(lambda url: usual(url) | {"issuer": said and said.replace("URL", url)})
    assert isinstance(outcome, TransientError if said is None else ServerSettingsError), outcome
    assert all(request.method == "GET" for request in loopback.requests)
    if said is not None:
        assert (outcome.reason, isinstance(outcome, RejectedError)) == ("config", True)


@pytest.mark.parametrize(
    "endpoint", [None, "", "http://login.example/token", "https://u:p@a.example/", 7, "javascript:1"]
)
def test_an_endpoint_that_is_missing_or_unsafe_is_refused(endpoint: Any) -> None:
    """Class config; nothing is sent there."""
    outcome, loopback = discover(lambda url: usual(url) | {"token_endpoint": endpoint})
    assert isinstance(outcome, ServerSettingsError), outcome
    assert len(loopback.requests) == 1


def test_what_is_written_counts_before_the_metadata() -> None:
    """With a token URL nobody is asked."""
    outcome, loopback = discover(None, granted(), token_url="URL/mine")
    assert isinstance(outcome, Token), outcome
    assert targets(loopback) == ["/mine"]


@pytest.mark.parametrize(
    "behaviour",
    [
        reply(b"planted", status=500), reply(b"<html>planted</html>"), reply(b'{"a":', status=200), reset,
        reply(b"{}", status=302, headers={"Location": "https://planted.example/"}), reply(b" " * 300_000),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"), reply(b"{}", headers={"Content-Encoding": "gzip"}),
        reply(b"[]"), reply(b'{"issuer":7}'), reply(b'\xef\xbb\xbf{"issuer":"x"}'), NOT_FOUND,
    ],
)  # fmt: skip
def test_hostile_metadata_are_transient_and_nothing_was_sent(behaviour: Behaviour) -> None:
    """docs/promises.md 6 to 12, 21: no redirect is followed, and an old copy serves."""
    outcome, loopback = discover(None, behaviour)
    assert isinstance(outcome, TransientError), outcome
    assert not outcome.is_sent
    assert "planted" not in str(outcome)
    assert len(loopback.requests) <= 3
    kept = {"issuer URL": Remembered({"issuer": "x", "token_endpoint": "http://127.0.0.1:1/old"}, at(NOW - 90_000))}
    stale, loopback = discover(None, behaviour, kept=kept)
    assert isinstance(stale, TransientError), stale
    assert "127.0.0.1:1" in str(stale)
    assert all(request.method == "GET" for request in loopback.requests)


def test_a_pause_is_a_pause() -> None:
    """429 without a copy."""
    outcome, _ = discover(None, reply(b"", status=429, headers={"Retry-After": "30"}))
    assert isinstance(outcome, RateLimitedError)
    assert outcome.retry_after == 30


def test_a_copy_is_used_for_a_day() -> None:
    """Then another one is asked for, and kept."""
    document: JSON = {"issuer": "x", "token_endpoint": "http://127.0.0.1:1/old"}
    outcome, loopback = discover(usual, granted(), kept={"issuer URL": Remembered(document, at(NOW - 86_000))})
    assert loopback.requests == []
    assert "127.0.0.1:1" in str(outcome)
    kept = {"issuer URL": Remembered(document, at(NOW - 87_000))}
    outcome, loopback = discover(lambda url: usual(url) | {"claims_supported": ["x"] * 1000}, granted(), kept=kept)
    assert isinstance(outcome, Token), outcome
    assert [one.at for one in kept.values()] == [at(NOW)]
    assert [one.document for one in kept.values()] == [usual(loopback.url)]


@pytest.mark.parametrize(
    "document", [{}, {"token_endpoint": "http://127.0.0.1:1/old"}, {"issuer": 7}, ["x"], None, "x"]
)
def test_a_copy_that_lacks_its_issuer_is_none(document: JSON) -> None:
    """Another version of tokend wrote it, or another program."""
    outcome, loopback = discover(usual, granted(), kept={"issuer URL": Remembered(document, at(NOW))})
    assert isinstance(outcome, Token), outcome
    assert len(loopback.requests) == 2


def test_a_resource_names_its_server() -> None:
    """RFC 9728 and then RFC 8414."""
    first = metadata(lambda url: {"resource": f"{url}/mcp/a", "authorization_servers": [url]})
    outcome, loopback = discover(usual, granted(), first=(first,), **PUBLIC)
    assert isinstance(outcome, Token), outcome
    assert targets(loopback)[0] == "/.well-known/oauth-protected-resource/mcp/a"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"authorization_servers": []}, "names no authorization server"),
        ({"authorization_servers": ["http://planted.example"]}, "names no authorization server"),
        ({"authorization_servers": ["https://a.example", "https://b.example"]}, "several servers: write issuer"),
        ({"authorization_servers": ["https://a.example"], "dpop_bound_access_tokens_required": True}, "demands DPoP"),
        ({"authorization_servers": ["https://a.example"], "resource": "https://planted.example"}, "byte for byte"),
    ],
)
def test_a_resource_that_is_no_use_is_refused(more: dict[str, Any], why: str) -> None:
    """Class config, and no request elsewhere."""
    outcome, loopback = discover(lambda url: {"resource": f"{url}/mcp/a", **more}, NOT_FOUND, **PUBLIC)
    assert isinstance(outcome, ServerSettingsError), outcome
    assert why in str(outcome)
    assert all("well-known" in target for target in targets(loopback))
