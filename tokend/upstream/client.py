"""HTTP exchanges with one upstream: a deadline, size limits; no redirects, cookies or environment.

`plugin.response_status` and the kinds interpret a reply; the engine retries.
"""

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import anyio

from tokend import __version__
from tokend.machine.clock import Clock
from tokend.machine.late_imports import import_alone
from tokend.machine.thread_pool import ThreadPool, Threads
from tokend.plugin.connection_settings import LARGEST_BODY_BYTES, ConnectionSettings
from tokend.plugin.http_date import http_date
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest, repeated
from tokend.plugin.remote_sink import RemoteSinkSettings
from tokend.plugin.response_status import asks_to_wait
from tokend.plugin.settings import ProviderSettings, SinkSettings
from tokend.plugin.text import header_text
from tokend.upstream import tls
from tokend.upstream.progress import PROGRESS, Progress
from tokend.upstream.resolver import Resolver
from tokend.values.errors import TransientError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.url import host_of, is_loopback, is_metadata_server

if TYPE_CHECKING:
    import httpcore
    import httpx

    from tokend.upstream.connections import Connections

# `Date` has whole seconds and is delayed on its way: a smaller difference is no wrong clock.
OFFSET_SECONDS = 5.0
# More requests at a time would only cause rate limits there.
MOST_CONNECTIONS = 8
_imported = False  # whether what an exchange needs has been imported
# A pushed sink and a vault have no key ``timeout``; a pushed sink may send a request all the same.
UNTIMED = timedelta(seconds=30)
HEADERS = {"User-Agent": f"tokend/{__version__}", "Accept-Encoding": "identity"}
LAST = {"Connection": "close"}


class Upstream:
    """Exchange requests with the upstream of ``settings``. Opens and imports nothing before the first exchange.

    Each connection is closed after its exchange, unless a block keeps it (`connected`): exchanges are hours apart, and
    a request on a connection that the server has just closed would look like a lost one. All upstreams of a daemon
    share ``resolver`` and ``threads``; ``threads`` read files.
    """

    def __init__(
        self,
        settings: ProviderSettings | SinkSettings | ConnectionSettings,
        *,
        clock: Clock,
        resolver: Resolver | None = None,
        threads: Threads | None = None,
    ) -> None:
        self._network = settings if isinstance(settings, ConnectionSettings) else None
        self._largest_bytes = LARGEST_BODY_BYTES if self._network is None else self._network.largest_body_bytes
        self._proxy = None if self._network is None else self._network.proxy
        timeout = settings.timeout if isinstance(settings, ProviderSettings | RemoteSinkSettings) else UNTIMED
        self._timeout_seconds = timeout.total_seconds()
        self._clock = clock
        self._resolver = resolver or Resolver()
        self._contexts = tls.Contexts(self._network, threads or ThreadPool(1))
        self._seats = anyio.Semaphore(MOST_CONNECTIONS)
        self._connections: Connections | None = None

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        """Send one request and read its whole reply, within the settings' timeout.

        Raises `TransientError`, ``repeatable`` where no connection came about or no reply came in time; `SecretError`
        where a header cannot carry its secret.
        """
        host = host_of(request.url)
        is_near = is_loopback(urlsplit(request.url).hostname or "") or is_metadata_server(request.url)
        proxy = None if is_near else self._proxy
        if proxy is not None:
            host += " through the proxy"
        headers = {
            name: header_text(value, f"the value of {name}") if isinstance(value, Secret) else value
            for name, value in request.headers.items()
        }
        progress = Progress.through(proxy)
        PROGRESS.set(progress)
        try:
            with anyio.fail_after(self._timeout_seconds):
                async with self._seats:
                    return await self._exchange(request, headers, host, proxy, progress)
        except TimeoutError:
            raise TransientError(
                f"{host} did not answer completely within {self._timeout_seconds:g} s",
                repeatable=True,
                is_sent=progress.is_sent,
            ) from None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Use one connection for the exchanges of the block, which are made one after another."""
        if not _imported:
            await self._contexts.run(import_client, "the HTTP client")
        async with self._made_connections().kept():
            yield

    def _made_connections(self) -> "Connections":
        if self._connections is None:
            from tokend.upstream.connections import Connections

            self._connections = Connections(self._resolver, self._largest_bytes)
        return self._connections

    async def _exchange(
        self,
        request: UpstreamRequest,
        headers: Mapping[str, str],
        host: str,
        proxy_url: str | None,
        progress: Progress,
    ) -> UpstreamReply:
        if not _imported:
            await self._contexts.run(import_client, f"{host}: the HTTP client")
        import httpx

        connections = self._made_connections()
        if connections.are_kept:
            progress.handshakes = 0  # a tunnel may be there already
        context, proxy = await self._contexts.current(host), await self._make_proxy(host, proxy_url)
        transport = connections.transport(host, context=context, proxy=proxy)
        own = HEADERS if connections.are_kept else HEADERS | LAST
        sent_at = self._clock.instant()
        response: httpx.Response | None = None
        try:
            async with (
                # The deadline above is over all of it.
                httpx.AsyncClient(transport=transport, trust_env=False, timeout=None, headers=own) as client,  # noqa: S113
                client.stream(request.method, request.url, headers=headers, content=request.body) as response,
            ):
                body = await _read(response, host, self._largest_bytes)
        except TransientError as error:
            error.is_void = _is_void(response)
            raise
        except Exception as error:
            if (what := _failure_reason(error)) is None:
                raise
            raise TransientError(
                f"{host}: {what}",
                is_sent=progress.is_sent,
                is_answered=response is not None,
                is_void=_is_void(response) or (progress.is_sent and response is None and _is_no_http(error)),
            ) from None
        finally:
            if response is not None:
                # It and its stream hold each other, and with them the request and its secrets, until some later day
                # when the garbage collector walks through everything.
                response.stream = httpx.ByteStream(b"")
        received_at = self._clock.instant()
        date = http_date(response.headers.get("date", ""))
        return UpstreamReply(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
            sent_at=sent_at,
            date=date,
            offset=_offset(date, sent_at, received_at),
            cookies=tuple(response.headers.get_list("set-cookie")),
            repeated=repeated(name for name, _ in response.headers.multi_items()),
        )

    async def _make_proxy(self, host: str, proxy_url: str | None) -> "httpcore.Proxy | None":
        if proxy_url is None:
            return None
        import httpcore

        parts = urlsplit(proxy_url)
        headers: dict[bytes | str, bytes | str] = {}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            headers["Proxy-Authorization"] = b"Basic " + base64.b64encode(login)
        # The proxy is this machine's affair, not the upstream's authority's.
        context = await self._contexts.shared(host) if parts.scheme == "https" else None
        url = httpcore.URL(scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target="/")
        return httpcore.Proxy(url, headers=headers, ssl_context=context)


def import_client() -> None:
    """Import what the first exchange needs. It takes 70 ms: in a thread, so that the loop serves readers meanwhile."""
    global _imported
    import_alone("email.utils")
    import_alone("tokend.upstream.connections")
    _imported = True


async def _read(response: "httpx.Response", host: str, largest_bytes: int) -> bytes:
    require_acceptable(response.headers, 0, host, largest_bytes)
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        require_acceptable(response.headers, len(body), host, largest_bytes)
    return bytes(body)


def require_acceptable(headers: Mapping[str, str], size: int, host: str, largest_bytes: int) -> None:
    """Raise `TransientError` for an answer with a content encoding, or with a body of more than ``largest_bytes``.

    ``headers`` have lower-case names, or are looked up without case.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise TransientError(f"{host} answered with a content encoding although none was accepted")
    if size > largest_bytes:
        raise TransientError(f"{host} answered with more than {largest_bytes // 1024} KiB: not a token")


def _failure_reason(error: Exception) -> str | None:
    """Return the reason for which an open connection failed, in our own words; None if the error is a bug."""
    import httpcore
    import httpx

    # A server may refuse our certificate after the handshake (TLS 1.3).
    if (trouble := tls.trouble(error)) is not None:
        return trouble
    said = str(error)
    match error:
        case httpcore.ProxyError():
            return f"it refused to connect us ({said[:3] if said[:3].isdigit() else 'no status'})"
        case httpcore.RemoteProtocolError() if said.startswith("Server disconnected"):
            return "it closed the connection without an answer"
        case httpcore.RemoteProtocolError() if said.startswith("peer closed"):
            return "it closed the connection in the middle of its answer"
        case httpcore.RemoteProtocolError():
            return "its answer cannot be read as HTTP"
        case httpcore.NetworkError():
            return "the connection was reset"
        case httpcore.LocalProtocolError() | httpcore.UnsupportedProtocol() | httpx.InvalidURL() | ValueError():
            return "the request cannot be sent as HTTP"
        case httpcore.TimeoutException() | OSError():
            return f"the exchange broke off ({type(error).__name__})"
    return None


def _is_void(broken: "httpx.Response | None") -> bool:
    """Return whether a broken answer is one nevertheless: its head has arrived, and asks for no pause."""
    return broken is not None and not asks_to_wait(broken.status_code)


def _is_no_http(error: Exception) -> bool:
    """Return whether a server has answered with what is no HTTP: an end without an answer is none."""
    import httpcore

    return isinstance(error, httpcore.RemoteProtocolError) and not str(error).startswith("Server disconnected")


def _offset(date: datetime | None, sent: Instant, received: Instant) -> float:
    """The upstream's clock minus ours, 0 unless it is off for certain: a slow reply was dated anywhere on its way."""
    if date is None:
        return 0.0
    # By boot time, and from the sending, which lives are counted from: the wall clock may be set meanwhile.
    half = sent.until(received) / 2
    # Date is rounded down: half a second is its mean error.
    offset = (date - sent.wall).total_seconds() - half + 0.5
    return offset if abs(offset) > OFFSET_SECONDS + half else 0.0
