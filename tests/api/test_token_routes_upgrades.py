"""Routes below a token, asked by clients that also offer another protocol (CASES U4)."""

import json
import shutil
import subprocess

import pytest

from tests.httpd.served import Served

H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
WEBSOCKET = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
ROUTES = [
    ("/v1/tokens/wallet/issue", {"url": "/pay"}, ("issue", "wallet", {"url": "/pay"})),
    ("/v1/tokens/demo/refresh", {"if_generation": 3}, ("refresh", "demo", 3, "", True)),
]


@pytest.mark.parametrize("offer", [H2C, WEBSOCKET])
@pytest.mark.parametrize(("target", "body", "asked"), ROUTES)
def test_the_body_of_a_post_that_offers_an_upgrade_counts(
    running: Served, target: str, body: dict[str, object], asked: object, offer: str
) -> None:
    """A conditional refresh stays conditional; the connection goes on, with pipelined requests as well."""
    data = json.dumps(body)
    text = f"POST {target} HTTP/1.1\r\nHost: x\r\n{offer}Content-Type: application/json\r\n"
    post = f"{text}Content-Length: {len(data)}\r\n\r\n{data}".encode()
    live = f"GET /livez HTTP/1.1\r\nHost: x\r\n{offer}\r\n".encode()
    with running.client() as client:
        client.send(post + live + post)
        first, second, third = client.reply(), client.reply(), client.reply()
        assert first.status == third.status == (201 if "issue" in target else 200)
        assert second.json == {"live": True}
        client.send(live)
        assert client.reply().status == 200
    assert running.engine.calls == [asked, asked]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(("target", "body", "asked"), ROUTES)
def test_curl_with_http2_is_answered_in_http1(
    running: Served, target: str, body: dict[str, object], asked: object
) -> None:
    """`curl --http2` offers h2c with its POST."""
    if "HTTP2" not in subprocess.run(["curl", "-V"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("this curl has no HTTP/2")
    argv = ["curl", "-sS", "--fail", "--http2", "-v", "--unix-socket", str(running.path), f"http://x{target}"]
    argv += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    assert "> Upgrade: h2c" in done.stderr
    assert running.engine.calls == [asked]
