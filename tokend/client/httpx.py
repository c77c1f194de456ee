"""`TokendAuth` for httpx, sync and async.

    from tokend.client.httpx import TokendAuth

    client = httpx.Client(base_url="https://api.topstepx.com", auth=TokendAuth("topstepx"))
    client.post("/api/Account/search", json={"onlyActiveAccounts": True})

    async with httpx.AsyncClient(auth=TokendAuth("tt")) as client:
        await client.get("https://ttrestapi.trade.tt/ttacct/ext_uat_cert/accounts")

Each request asks tokend for the token, which is never kept. One TokendAuth therefore serves any number of threads,
tasks and clients, and a token that tokend dropped is not sent again.
"""

from collections.abc import AsyncGenerator, Generator, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

import httpx

from tokend.client import worker_threads
from tokend.client.leases import Lease
from tokend.client.reporting import newer
from tokend.client.tokens import TokenClient

# Safe methods: such a request may be repeated after any answer (RFC 9110, 9.2.1).
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class TokendAuth(httpx.Auth):
    """Send tokend's token ``name`` with each request. Raises a `TokendError` if there is no token.

    On 401 the token is reported. If tokend then has a newer one, and the body can be sent again (bytes, text, json,
    data; never a stream, a generator or multipart), the request is repeated once.

    The token goes only to the origin of the request. If the client follows redirects, each hop is sent without the
    token, and a hop within the origin is then repeated with it. ``client`` chooses the tokend to ask.
    """

    def __init__(self, name: str, *, client: TokenClient | None = None) -> None:
        self._name = name
        self._client = client or TokenClient()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Yield each request to send; `httpx.Client` calls this."""
        flow = _Flow(request, self._client.get(self._name))
        while (sent := flow.next) is not None:
            if flow.take((yield sent)):
                flow.renew(newer(self._client, flow.lease))

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Yield each request to send; `httpx.AsyncClient` calls this."""
        flow = _Flow(request, await worker_threads.get(self._client, self._name))
        while (sent := flow.next) is not None:
            if flow.take((yield sent)):
                flow.renew(await worker_threads.newer_than(self._client, flow.lease))


class _Flow:
    """State of one request and its repetitions. ``next`` is the request to send, None at the end."""

    def __init__(self, request: httpx.Request, lease: Lease) -> None:
        self.lease = lease
        self.next: httpx.Request | None = _with_token(request, lease)
        self._origin = _origin(request)
        self._retried = False
        self._refused = request

    def take(self, response: httpx.Response) -> bool:
        """Take the answer to ``next``. Returns True for a refused token: the caller reports it and calls `renew`."""
        asked, self.next = self.next, None
        if response.request is not asked:
            self.next = self._redirected(response)
            return False
        if response.status_code != 401 or self._retried:
            return False
        self._retried, self._refused = True, response.request
        return True

    def renew(self, lease: Lease | None) -> None:
        """Repeat the refused request with a newer lease; None ends the flow."""
        if lease is not None and _is_repeatable(self._refused):
            self.lease, self.next = lease, _with_token(self._refused, lease)

    def _redirected(self, response: httpx.Response) -> httpx.Request | None:
        """Return the last hop of a redirect, with the token; None if a hop left the origin or must not be repeated."""
        hops = [*(earlier.request for earlier in response.history), response.request]
        if any(_origin(hop) != self._origin for hop in hops):
            return None
        hop = response.request
        again = hop.method in _SAFE or response.status_code == 401
        return _with_token(hop, self.lease) if again and _is_repeatable(hop) else None


class _OneHopHeaders(httpx.Headers):
    """Headers whose copy lacks the token.

    httpx makes the request of a redirect from a copy of the headers, inside of the auth flow. If the origin differs it
    removes only ``Authorization``: an ``x-api-key`` would reach a foreign host.
    """

    def __init__(self, headers: httpx.Headers, secrets: Mapping[str, str]) -> None:
        public = httpx.Headers(headers)
        for name in secrets:
            public.pop(name, None)
        super().__init__(public)
        self._secrets = dict(secrets)

    def __eq__(self, other: object) -> bool:
        return self._complete() == (other._complete() if isinstance(other, _OneHopHeaders) else other)

    def __repr__(self) -> str:
        # httpx masks Authorization only.
        return f"Headers({ {**dict(super().items()), **dict.fromkeys(self._secrets, '[secure]')} })"

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        return self._complete().raw

    def keys(self) -> KeysView[str]:
        return self._complete().keys()

    def values(self) -> ValuesView[str]:
        return self._complete().values()

    def items(self) -> ItemsView[str, str]:
        return self._complete().items()

    def multi_items(self) -> list[tuple[str, str]]:
        return self._complete().multi_items()

    def get_list(self, key: str, split_commas: bool = False) -> list[str]:
        return self._complete().get_list(key, split_commas)

    def __getitem__(self, key: str) -> str:
        return self._complete()[key]

    def __contains__(self, key: Any) -> bool:
        return key in self._complete()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._complete())

    def __len__(self) -> int:
        return len(self._complete())

    def _complete(self) -> httpx.Headers:
        complete = httpx.Headers(self)
        complete.update(self._secrets)
        return complete


def _with_token(request: httpx.Request, lease: Lease) -> httpx.Request:
    request.headers = _OneHopHeaders(request.headers, lease.headers)
    return request


def _is_repeatable(request: httpx.Request) -> bool:
    return isinstance(request.stream, httpx.ByteStream)


def _origin(request: httpx.Request) -> tuple[str, str, int | None]:
    url = request.url
    return url.scheme, url.host, url.port  # None is the scheme's own port, also where the URL spelled it out
