"""What only one HTTP library does, and what its adapter makes of it."""

import threading

import anyio
import httpx
import pytest
import requests

from tests.client.adapters import Call, Got, aiohttp_session
from tests.client.fake_daemon import answering
from tests.client.upstream import Heard, Said, upstream
from tokend.client import Lease, TokenClient, beside
from tokend.client.aiohttp import TokendAuth as AiohttpAuth
from tokend.client.httpx import TokendAuth as HttpxAuth
from tokend.client.requests import TokendAuth as RequestsAuth
from tokend.client.testing import FakeTokend

KEY = {"tt": {"x-api-key": "fake-key"}}
PLACE = "http://upgrade.example/0"


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

        transport = httpx.MockTransport(lambda request: (seen.append(request), httpx.Response(200))[1])
        with httpx.Client(transport=transport, auth=auth, event_hooks={"request": [hook]}) as http:
            http.get("http://a.example/")
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


def test_a_report_that_waits_holds_up_neither_loop_nor_readers() -> None:
    """More reports than there are threads for wait for a slow upstream; another token is read meanwhile."""
    over = threading.Event()
    with FakeTokend({"tt": "first"}, environ=False) as fake, answering(lambda _: over.wait(40) and None) as stuck:

        async def main() -> str:
            with anyio.fail_after(10):  # the reports themselves would end after 40 s
                return await reading()

        async def reading() -> str:
            async with anyio.create_task_group() as group:
                for _ in range(3 * beside.REPORTING_THREADS):
                    group.start_soon(beside.newer_than, TokenClient(stuck.path), Lease("tt", "a", generation=1))
                await anyio.wait_all_tasks_blocked()
                found = await beside.get(TokenClient(fake.socket), "tt")
                group.cancel_scope.cancel()
            return found.access_token

        try:
            assert anyio.run(main) == "first"
        finally:
            over.set()


def test_requests_keeps_the_newer_token_through_a_redirect_within_the_origin() -> None:
    """requests builds a hop from the first request, not from the retry: both have to carry it."""

    def answer(heard: Heard) -> Said:
        if heard.token != "Bearer second":
            return Said(401)
        return Said(307, b"", "/end") if heard.path == "/" else Said(200, heard.body)

    with FakeTokend({"tt": ["first", "second"]}, environ=False) as fake, upstream(answer) as server:
        auth = RequestsAuth("tt", client=TokenClient(fake.socket))
        done = requests.post(server.origin, data="order", auth=auth, timeout=40)
    assert (done.status_code, done.text) == (200, "order")
    assert server.tokens() == [("/", "Bearer first"), ("/", "Bearer second"), ("/end", "Bearer second")]


def test_requests_retries_once_over_all_hops() -> None:
    """A hop whose 401 comes after a retry is the answer: there would be a third token."""

    def answer(heard: Heard) -> Said:
        return Said(307, b"", "/end") if (heard.path, heard.token) == ("/", "Bearer b") else Said(401)

    with FakeTokend({"tt": ["a", "b", "c"]}, environ=False) as fake, upstream(answer) as server:
        auth = RequestsAuth("tt", client=TokenClient(fake.socket))
        assert requests.get(server.origin, auth=auth, timeout=40).status_code == 401
    assert server.tokens() == [("/", "Bearer a"), ("/", "Bearer b"), ("/end", "Bearer b")]
    assert len(fake.reports) == 1


@pytest.mark.parametrize(
    "location",
    ["http://a:999999/", "http://a\\@{host}/", "http://{host}\\@localhost/", "//localhost", "https://{host}/"],
)
def test_requests_does_not_trust_a_target_that_reads_two_ways(location: str) -> None:
    """What urllib and urllib3 would not read alike is no way home; nor is another scheme."""
    with (
        FakeTokend({"tt": "first"}, headers=KEY, environ=False) as fake,
        upstream(lambda heard: Said(302, b"", location.format(host=heard.headers["host"]))) as server,
    ):
        auth = RequestsAuth("tt", client=TokenClient(fake.socket))
        done = requests.get(server.origin, auth=auth, allow_redirects=False, timeout=40)
    assert not {"Authorization", "x-api-key"} & set(done.request.headers)


@pytest.mark.parametrize("origin", ["api.example.com", "", "/path"])
def test_aiohttp_needs_an_origin_to_keep_to(origin: str) -> None:
    """A scheme and a host; anything else is an error at once, not a token sent nowhere."""
    with pytest.raises(ValueError):
        AiohttpAuth("tt", origin=origin)


def test_aiohttp_leaves_other_origins_alone() -> None:
    """Not even a read of the token, for requests that it does not belong to."""
    with FakeTokend({"tt": "first"}, environ=False) as fake, upstream(lambda heard: Said(401)) as server:
        found = aiohttp_session(fake.socket, "https://api.example.com", [Call(server.origin + "/")])
    assert found == [Got(401, b"well")]
    assert (fake.requests, server.heard[0].token) == ([], None)
