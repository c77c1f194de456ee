"""Proxy of requests: that of the settings, or none. The environment has no effect."""

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from pydantic import ValidationError

from tests.upstream.clocks import StandingClock
from tests.upstream.loopback import Behaviour, Conversation, Loopback, Reachable, reply, serving, silent
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.upstream.client import Upstream
from tokend.values.errors import TransientError
from tokend.values.secret import Secret

FAKE_SECRET = "obviously-fake-secret"


async def ask(loopback: Loopback, **settings: Any) -> UpstreamReply:
    """Make one request with a secret in a header."""
    return await ask_at(loopback.url, **settings)


async def ask_at(url: str, **settings: Any) -> UpstreamReply:
    """The same, of an upstream that is not on loopback."""
    upstream = Upstream(Reachable(base_url="https://upstream.example", **settings), clock=StandingClock(1_700_000_000))
    return await upstream.exchange(UpstreamRequest("POST", f"{url}/token", {"x-api-key": Secret(FAKE_SECRET)}))


def tunnel(port: int) -> Behaviour:
    """A proxy that connects each CONNECT to ``port`` of this machine."""

    async def behave(conversation: Conversation) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await conversation.say(b"HTTP/1.1 200 Connected\r\n\r\n")

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while chunk := await source.read(65536):
                    target.write(chunk)
                    await target.drain()
                target.write_eof()

        await asyncio.gather(pump(conversation.reader, writer), pump(reader, conversation.writer))
        writer.close()

    return behave


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Proxy variables and ~/.netrc are ignored: only the settings count."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password obviously-fake\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def main() -> None:
        async with serving(reply(b"{}")) as loopback:
            await ask(loopback)
            assert "authorization" not in loopback.requests[0].headers

    anyio.run(main)


def test_the_settings_proxy_is_used(tmp_path: Path) -> None:
    """``proxy`` alone decides where the connection goes; what goes through it is encrypted for the upstream."""
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("upstream.example").configure_cert(server)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    async def main() -> None:
        async with serving(reply(b"{}"), tls=server) as upstream, serving(tunnel(upstream.port)) as proxy:
            answer = await ask_at("https://upstream.example", proxy=proxy.url, ca_file=tmp_path / "ca.pem")
            assert answer.status == 200
            assert [(one.method, one.target) for one in proxy.requests] == [("CONNECT", "upstream.example:443")]
            assert FAKE_SECRET not in str(proxy.requests)
            assert upstream.requests[0].headers["x-api-key"] == FAKE_SECRET

    anyio.run(main)


def test_what_a_proxy_refuses_to_connect_was_not_sent() -> None:
    """A login's refresh token is unspent then, and the message says who refused."""

    async def main() -> None:
        async with serving(reply(b"planted", status=502)) as proxy:
            with pytest.raises(TransientError, match=r"through the proxy: it refused to connect us \(502\)") as refused:
                await ask_at("https://upstream.example", proxy=proxy.url)
            assert not refused.value.is_sent
            assert [one.method for one in proxy.requests] == ["CONNECT"]

    anyio.run(main)


def test_loopback_is_reached_without_the_proxy() -> None:
    """A proxy elsewhere could not reach it; and it would see user name and key in clear."""

    async def main() -> None:
        async with serving(reply(b"{}")) as loopback, serving(silent) as proxy:
            assert (await ask(loopback, proxy=proxy.url)).status == 200
            assert len(loopback.requests) == 1
            assert proxy.requests == []

    anyio.run(main)


def test_a_metadata_server_is_reached_without_the_proxy() -> None:
    """A proxy would answer for another machine. Whether there is such a server here does not matter."""

    async def main() -> None:
        async with serving(silent) as proxy:
            with contextlib.suppress(TransientError):
                await ask_at("http://169.254.0.1:9", proxy=proxy.url, timeout="100ms")
            assert proxy.requests == []

    anyio.run(main)


@pytest.mark.parametrize("proxy", ["nonsense", "socks5://user:obviously-fake-secret@127.0.0.1:1", "ftp://h"])
def test_an_unusable_proxy_is_named_without_its_password(proxy: str) -> None:
    """A typing error in ``proxy`` is an error of the configuration, and is not quoted."""
    with pytest.raises(ValidationError, match="a proxy is http://host:port") as refused:
        Reachable(proxy=proxy)
    assert "obviously-fake-secret" not in str(refused.value)


def test_a_proxy_that_is_away_is_named_as_such() -> None:
    """Not the upstream refused; and nothing went to it around the proxy."""

    async def main() -> None:
        with pytest.raises(TransientError, match="through the proxy: connection refused"):
            await ask_at("https://upstream.example", proxy="http://127.0.0.1:1")

    anyio.run(main)


def test_a_proxy_gets_its_own_password_and_only_that() -> None:
    """It is sent as Proxy-Authorization; what the tunnel will carry is not for the proxy: a 407 gets no secret."""

    async def main() -> None:
        async with serving(reply(b"", status=407)) as proxy:
            with pytest.raises(TransientError, match="through the proxy"):
                await ask_at("https://upstream.example:1", proxy=proxy.url.replace("//", "//user:pa%40ss@"))
            (request,) = proxy.requests
            assert (request.method, request.target) == ("CONNECT", "upstream.example:1")
            assert request.headers["proxy-authorization"] == "Basic dXNlcjpwYUBzcw=="
            assert FAKE_SECRET not in str(request)

    anyio.run(main)
