"""One upstream's HTTP: its own client on the shared TLS context, a deadline, a size cap, no redirects, no environment.

What a reply means is `verdict`'s and the providers' part; retrying is the engine's.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING

import anyio

from tokend import __version__
from tokend.clock import Clock
from tokend.errors import TransientError
from tokend.http import tls
from tokend.http.exchange import Reply, Request
from tokend.http.text import header_text
from tokend.http.url import host_of
from tokend.instant import Instant
from tokend.secret import Secret
from tokend.settings import NetworkSettings, ProviderSettings

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 5.0
# Token replies have a few kilobytes; a gzip bomb behind a larger cap cost 135 MiB.
LARGEST_BODY_BYTES = 256 * 1024
# Date has whole seconds and travels for a while; less is not a wrong clock.
OFFSET_SECONDS = 5.0
# httpx's pool is quadratic in the requests under way: 50 through one client stalled everything for seconds.
MOST_CONNECTIONS = 8


class Upstream:
    """Exchange requests with whatever ``settings`` point to. Nothing is opened or imported before the first one.

    No connection outlives its exchange: tokens are asked for hours apart, and a call on a connection that the server
    has just closed would look like a lost one.
    """

    def __init__(self, settings: ProviderSettings, *, clock: Clock) -> None:
        self._network = settings if isinstance(settings, NetworkSettings) else None
        self._timeout_seconds = settings.timeout.total_seconds()
        self._clock = clock
        self._client: httpx.AsyncClient | None = None

    async def exchange(self, request: Request) -> Reply:
        """Send one request and read its whole reply, within the settings' timeout.

        Raises `TransientError`, ``repeatable`` where no connection came about or no reply came in time; `SecretError`
        where a header cannot carry its secret.
        """
        host = host_of(request.url)
        if self._network is not None and self._network.proxy is not None:
            host += " through the proxy"
        headers = {
            name: header_text(value, f"the value of {name}") if isinstance(value, Secret) else value
            for name, value in request.headers.items()
        }
        try:
            with anyio.fail_after(self._timeout_seconds):
                return await self._exchange(request, headers, host)
        except TimeoutError:
            raise TransientError(
                f"{host} did not answer completely within {self._timeout_seconds:g} s", repeatable=True
            ) from None

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def _exchange(self, request: Request, headers: Mapping[str, str], host: str) -> Reply:
        import httpx

        client = await self._open(host)
        sent_at = self._clock.instant()
        try:
            async with client.stream(request.method, request.url, headers=headers, content=request.body) as response:
                body = await _read(response, host)
        except httpx.ConnectTimeout:
            raise TransientError(f"{host}: no connection within {CONNECT_SECONDS:g} s", repeatable=True) from None
        except httpx.TimeoutException:
            raise TransientError(f"{host} did not answer in time", repeatable=True) from None
        except httpx.ConnectError as error:
            raise _no_connection(error, host) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            # A server may refuse our certificate after the handshake (TLS 1.3).
            what = tls.trouble(error) or f"the exchange broke off ({type(error).__name__})"
            raise TransientError(f"{host}: {what}") from None
        received_at = self._clock.instant()
        date = _date(response.headers.get("date"))
        return Reply(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
            sent_at=sent_at,
            date=date,
            offset=_offset(date, sent_at, received_at),
        )

    async def _open(self, host: str) -> "httpx.AsyncClient":
        if self._client is None:
            import httpx

            context = await tls.context_for(self._network, host)
            try:
                self._client = httpx.AsyncClient(
                    verify=context,
                    trust_env=False,
                    proxy=None if self._network is None else self._network.proxy,
                    timeout=httpx.Timeout(self._timeout_seconds, connect=CONNECT_SECONDS),
                    limits=httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=0),
                    follow_redirects=False,
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # a login is no session
                    headers={
                        "User-Agent": f"tokend/{__version__}",
                        "Accept-Encoding": "identity",
                        "Connection": "close",
                    },
                )
            except (httpx.InvalidURL, ValueError, ImportError):
                # The URL may hold a password: not even its host is quoted.
                raise TransientError(f"{host}: the proxy's URL cannot be used: http://host:port is expected") from None
        return self._client


async def _read(response: "httpx.Response", host: str) -> bytes:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise TransientError(f"{host} answered with a content encoding although none was accepted")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST_BODY_BYTES:
            raise TransientError(f"{host} answered with more than {LARGEST_BODY_BYTES // 1024} KiB: not a token")
    return bytes(body)


def _no_connection(error: "httpx.ConnectError", host: str) -> TransientError:
    """Say why without quoting the library: TLS, name or network."""
    if (trouble := tls.trouble(error)) is not None:
        return TransientError(f"{host}: {trouble}")
    reasons = (_reason(cause) for cause in tls.causes(error) if isinstance(cause, OSError) and cause.strerror)
    return TransientError(f"{host}: {next(reasons, 'no connection').lower()}", repeatable=True)


def _reason(error: OSError) -> str:
    """The system's own words: asyncio writes "Connect call failed" for every number. A resolver's are negative."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)


def _date(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def _offset(date: datetime | None, sent: Instant, received: Instant) -> float:
    """The upstream's clock minus ours, 0 unless it is off for certain: a slow reply was dated anywhere on its way."""
    if date is None:
        return 0.0
    half = (received.wall - sent.wall) / 2
    # Date is rounded down: half a second is its mean error.
    offset = (date - (sent.wall + half)).total_seconds() + 0.5
    return offset if abs(offset) > OFFSET_SECONDS + abs(half.total_seconds()) else 0.0
