"""Adapter for httpx: behaviour of httpx that no other HTTP library has."""

import httpx

from tokend.client import TokenClient
from tokend.client.httpx import TokendAuth as HttpxAuth
from tokend.client.testing import FakeTokend

KEY = {"tt": {"x-api-key": "fake-key"}}
PLACE = "http://127.0.0.1/0"


def upgraded(seen: list[httpx.Request]) -> httpx.MockTransport:
    """A host that leads from http to https, on the schemes' own ports."""

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.scheme == "http":
            return httpx.Response(308, headers={"Location": str(request.url.copy_with(scheme="https"))})
        return httpx.Response(200)

    return httpx.MockTransport(answer)


def test_httpx_takes_no_token_from_http_to_https() -> None:
    """httpx itself would keep Authorization there; it is another origin all the same."""
    seen: list[httpx.Request] = []
    with FakeTokend({"tt": "first"}, headers=KEY, environ=False) as fake:
        auth = HttpxAuth("tt", client=TokenClient(fake.socket))
        with httpx.Client(transport=upgraded(seen), auth=auth, follow_redirects=True) as http:
            assert http.get(PLACE).status_code == 200
    assert [(request.url.scheme, request.headers.get("authorization")) for request in seen] == [
        ("http", "Bearer first"), ("https", None),
    ]  # fmt: skip
    assert "x-api-key" not in seen[1].headers


def test_httpx_prepares_the_next_request_without_the_token() -> None:
    """`response.next_request`, for those who follow by hand."""
    with FakeTokend({"tt": "first"}, headers=KEY, environ=False) as fake:
        auth = HttpxAuth("tt", client=TokenClient(fake.socket))
        with httpx.Client(transport=upgraded([]), auth=auth) as http:
            following = http.get(PLACE).next_request
    assert following is not None
    assert not {"authorization", "x-api-key"} & set(following.headers)


def test_httpx_headers_read_and_change_as_any() -> None:
    """Event hooks and transports see one complete set of headers, and may change it; its repr hides the token."""
    seen: list[httpx.Request] = []
    with FakeTokend({"tt": "first"}, headers=KEY, environ=False) as fake:
        auth = HttpxAuth("tt", client=TokenClient(fake.socket))

        def hook(request: httpx.Request) -> None:
            request.headers["X-Hook"] = "1"

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(200)

        transport = httpx.MockTransport(answer)
        with httpx.Client(transport=transport, auth=auth, event_hooks={"request": [hook]}) as http:
            http.get("https://a.example/")
    headers = seen[0].headers
    plain = httpx.Headers(headers.raw)
    assert (headers["X-API-KEY"], headers["x-hook"], headers.get("authorization")) == ("fake-key", "1", "Bearer first")
    assert list(headers) == list(plain)
    assert headers == plain
    assert plain == headers
    assert headers != httpx.Headers(headers)
    assert dict(headers.items()) == dict(plain.items())
    assert (list(headers.keys()), list(headers.values())) == (list(plain.keys()), list(plain.values()))
    assert (headers.multi_items(), len(headers)) == (plain.multi_items(), len(plain))
    assert headers.get_list("x-api-key") == ["fake-key"]
    assert "x-hook" in headers
    assert "first" not in repr(headers)
    assert "fake-key" not in repr(headers)
    assert "x-api-key" in repr(headers)
