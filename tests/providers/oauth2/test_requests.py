"""Requests: parameters as a form, as JSON, in the query; headers."""

import json

from tests.providers.oauth2.asking import basic, form, sent
from tokend.providers.oauth2.declared_answer import RequestSettings
from tokend.providers.oauth2.requests import make_request, with_query
from tokend.values.secret import Secret


def test_parameters_as_json() -> None:
    """Auth0 and Atlassian want it; several values of one name are an array."""
    request = sent(request={"encoding": "json"}, scope="a b", audience=["x", "y"], client_auth="client_secret_post")
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "grant_type": "client_credentials", "scope": "a b", "audience": ["x", "y"], "client_id": "fake-client",
        "client_secret": "your-secret-key",
    }  # fmt: skip


def test_parameters_in_the_query() -> None:
    """With POST or GET, beside a query that the URL has; the URL's repr hides a secret."""
    request = sent(request={"encoding": "query", "method": "GET"}, audience=["x", "y"])
    assert (request.method, request.body) == ("GET", b"")
    assert request.target == "/token?grant_type=client_credentials&audience=x&audience=y"
    assert basic(request) == "fake-client:your-secret-key"
    assert sent(encoding="query").method == "POST"
    url = with_query("https://a.example/t?p=1", {"s": Secret("planted")})
    assert (str(url), "planted" in repr(url)) == ("https://a.example/t?p=1&s=planted", False)
    assert with_query("https://a.example/t", {}) == "https://a.example/t"


def test_several_values_of_one_name_are_sent_one_after_another() -> None:
    """RFC 8693 and RFC 8707."""
    assert (
        b"resource=https%3A%2F%2Fa.example%2F&resource="
        in sent(resource=["https://a.example/", "https://b.example"]).body
    )


def test_written_headers_count_before_ours_but_not_before_the_proof() -> None:
    """Names are compared without case."""
    request = sent(request={"headers": {"accept": "text/json", "authorization": "planted", "X-A": "1"}})
    assert (request.headers["accept"], request.headers["x-a"]) == ("text/json", "1")
    assert basic(request).startswith("fake-client:")
    assert form(request)["grant_type"] == "client_credentials"
    made = make_request("https://a.example", {}, {}, RequestSettings())
    assert (made.method, made.headers["Accept"], made.body) == ("POST", "application/json", b"")
