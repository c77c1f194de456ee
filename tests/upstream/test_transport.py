"""Which way requests take: the settings' proxy or none. The environment has no say."""

from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from tests.upstream.clocks import StandingClock
from tests.upstream.loopback import Loopback, Reachable, reply, serving, silent
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.upstream.client import Upstream
from tokend.values.errors import TransientError
from tokend.values.secret import Secret

FAKE_SECRET = "obviously-fake-secret"


async def ask(loopback: Loopback, **settings: Any) -> UpstreamReply:
    """Make one request with a secret in a header."""
    upstream = Upstream(Reachable(**settings), clock=StandingClock(1_700_000_000))
    return await upstream.exchange(UpstreamRequest("POST", f"{loopback.url}/token", {"x-api-key": Secret(FAKE_SECRET)}))


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


def test_the_settings_proxy_is_used() -> None:
    """``proxy`` alone decides where the connection goes."""

    async def main() -> None:
        async with serving(reply(b"{}")) as proxy, serving(silent) as loopback:
            assert (await ask(loopback, proxy=proxy.url)).status == 200
            assert proxy.requests[0].target == f"{loopback.url}/token"
            assert loopback.requests == []

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
        async with serving(silent) as loopback:
            with pytest.raises(TransientError, match="through the proxy: connection refused"):
                await ask(loopback, proxy="http://127.0.0.1:1")
            assert loopback.requests == []

    anyio.run(main)


def test_a_proxy_gets_its_own_password_and_only_that() -> None:
    """It is sent as Proxy-Authorization; what the tunnel will carry is not for the proxy: a 407 gets no secret."""

    async def main() -> None:
        async with serving(reply(b"", status=407)) as proxy:
            secure = Loopback([], scheme="https", port=1)
            with pytest.raises(TransientError, match="through the proxy"):
                await ask(secure, proxy=proxy.url.replace("//", "//user:pa%40ss@"))
            (request,) = proxy.requests
            assert (request.method, request.target) == ("CONNECT", "127.0.0.1:1")
            assert request.headers["proxy-authorization"] == "Basic dXNlcjpwYUBzcw=="
            assert FAKE_SECRET not in str(request)

    anyio.run(main)
