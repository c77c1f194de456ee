"""One upstream's HTTP: its own client on the shared TLS context, a deadline, a size cap, no redirects, no environment.

What a reply means is `verdict`'s and the providers' part; retrying is the engine's.
"""

import ipaddress
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from tokend import __version__
from tokend.clock import Clock
from tokend.errors import TransientError
from tokend.http.exchange import Reply, Request
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

_shared_context: ssl.SSLContext | None = None


class Upstream:
    """Exchange requests with whatever ``settings`` point to. Nothing is opened or imported before the first one."""

    def __init__(self, settings: ProviderSettings, *, clock: Clock) -> None:
        self._network = settings if isinstance(settings, NetworkSettings) else None
        self._timeout_seconds = settings.timeout.total_seconds()
        self._clock = clock
        self._client: httpx.AsyncClient | None = None

    async def exchange(self, request: Request) -> Reply:
        """Send one request and read its whole reply, within the settings' timeout. Raises `TransientError`."""
        host = host_of(request.url)
        try:
            with anyio.fail_after(self._timeout_seconds):
                return await self._exchange(request, host)
        except TimeoutError:
            raise TransientError(
                f"{host} did not answer completely within {self._timeout_seconds:g} s", repeatable=True
            ) from None

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def _exchange(self, request: Request, host: str) -> Reply:
        import httpx

        client = await self._open(host)
        headers = {name: v.reveal() if isinstance(v, Secret) else v for name, v in request.headers.items()}
        sent_at = self._clock.instant()
        try:
            async with client.stream(request.method, request.url, headers=headers, content=request.body) as response:
                body = await _read(response, host)
        except httpx.ConnectTimeout:
            raise TransientError(f"{host}: no connection within {CONNECT_SECONDS:g} s", repeatable=True) from None
        except httpx.TimeoutException:
            raise TransientError(f"{host} did not answer in time", repeatable=True) from None
        except httpx.ConnectError as error:
            raise TransientError(f"{host}: {_connect_trouble(error)}", repeatable=True) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            raise TransientError(f"{host}: the exchange broke off ({type(error).__name__})") from None
        date = _date(response.headers.get("date"))
        return Reply(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
            sent_at=sent_at,
            date=date,
            offset=_offset(date, sent_at, self._clock.instant()),
        )

    async def _open(self, host: str) -> "httpx.AsyncClient":
        if self._client is None:
            import httpx

            network = self._network
            context = await _context(network, host)
            self._client = httpx.AsyncClient(
                verify=context,
                trust_env=False,
                proxy=None if network is None else network.proxy,
                timeout=httpx.Timeout(self._timeout_seconds, connect=CONNECT_SECONDS),
                limits=httpx.Limits(max_connections=8, max_keepalive_connections=2, keepalive_expiry=15),
                follow_redirects=False,
                headers={"User-Agent": f"tokend/{__version__}", "Accept-Encoding": "identity"},
            )
        return self._client


def host_of(url: str) -> str:
    """``host:port`` of a URL, for messages and for rate limits."""
    parts = urlsplit(url)
    host = parts.hostname or "?"
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{parts.port or (80 if parts.scheme == 'http' else 443)}"


def is_loopback(host: str) -> bool:
    """Tell whether a URL's host name means this machine and nothing else."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def validate_base_url(value: str) -> str:
    """Check an upstream's URL for a settings field; returns it without a trailing slash. Raises ValueError."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("this is no URL: write https://host or https://host/path") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL holds no user and no password here: they have keys of their own")
    if parts.query or parts.fragment or "?" in value or "#" in value:
        raise ValueError("an upstream's URL has no query and no fragment")
    if not parts.hostname or parts.scheme not in {"http", "https"} or not value.isascii() or " " in value:
        raise ValueError("an upstream's URL is https://host, or http:// to loopback only")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("http:// would send secrets in clear: https:// only (http:// to loopback is allowed)")
    return value.rstrip("/")


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


async def _context(network: NetworkSettings | None, host: str) -> ssl.SSLContext:
    """The daemon's one TLS context, or its own where the settings name files. Made in a thread: it takes 20 ms."""
    global _shared_context
    if network is None or (network.ca_file is None and network.client_cert is None):
        if _shared_context is None:
            _shared_context = await anyio.to_thread.run_sync(_default_context)
        return _shared_context
    try:
        return await anyio.to_thread.run_sync(_own_context, network)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise TransientError(f"{host}: ca_file, client_cert or client_key cannot be used: {reason}") from None


def _default_context() -> ssl.SSLContext:
    import certifi

    context = ssl.create_default_context()
    # Both the machine's own authorities and the well-known ones: a slim image has only the latter.
    context.load_verify_locations(cafile=certifi.where())
    return context


def _own_context(network: NetworkSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if network.ca_file is None else str(network.ca_file))
    if network.client_cert is not None:
        key = None if network.client_key is None else str(network.client_key)
        # Never ask a terminal for a passphrase: a daemon has none.
        context.load_cert_chain(str(network.client_cert), key, password=lambda: "")
    return context


def _connect_trouble(error: Any) -> str:
    """Say what failed without quoting the library: TLS, name or connection."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its TLS certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return "TLS failed"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return "no connection"


def _date(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _offset(date: datetime | None, sent: Instant, received: Instant) -> float:
    if date is None:
        return 0.0
    middle = sent.wall + (received.wall - sent.wall) / 2
    # Date is rounded down: half a second is its mean error.
    offset = (date - middle).total_seconds() + 0.5
    return offset if abs(offset) > OFFSET_SECONDS else 0.0
