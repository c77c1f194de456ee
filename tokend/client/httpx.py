"""`TokendAuth` for httpx, sync and async.

    from tokend.client.httpx import TokendAuth

    client = httpx.Client(base_url="https://api.topstepx.com", auth=TokendAuth("topstepx"))
    client.post("/api/Account/search", json={"onlyActiveAccounts": True})

    async with httpx.AsyncClient(auth=TokendAuth("tt")) as client:
        await client.get("https://ttrestapi.trade.tt/ttacct/ext_uat_cert/accounts")

Each request asks tokend for the token, which is never kept. One TokendAuth therefore serves any number of threads,
tasks and clients, and a token that tokend dropped is not sent again.
"""

import inspect
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    ValuesView,
)
from enum import Enum
from typing import Any, TypeAlias

import httpx

from tokend.client import worker_threads
from tokend.client.grants import Grant, TokenSource
from tokend.client.origins import Origin, Origins, origin
from tokend.client.signatures import SignatureSource, call_to_sign
from tokend.client.tokens import TokenClient

# Parameters of an issue, made from the request that the token is for.
Parameters: TypeAlias = "Callable[[httpx.Request], Mapping[str, str]]"
AsyncParameters: TypeAlias = "Callable[[httpx.Request], Awaitable[Mapping[str, str]]]"
# Safe methods: such a request may be repeated after any answer (RFC 9110, 9.2.1).
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class TokendAuth(httpx.Auth):
    """Send tokend's token ``name`` with each request. Raises a `TokendError` if there is no token.

    The token goes to ``origins`` only, without them to the origin of the first request only: a request elsewhere, or
    over http except to loopback, raises `OriginError` before anything is sent. If the client follows redirects, each
    hop is sent without the token, and a hop within the origin is then repeated with it.

    On 401 the token is reported. If tokend then has a newer one, and the body can be sent again (bytes, text, json,
    data; never a stream, a generator or multipart), the request is repeated once. Where the upstream wants a request id
    in each call (tt), the query gets one, unless it has one already.

    ``parameters`` is for tokens that are issued per request: a function of the request, whose body has been read, that
    returns the parameters of `TokenClient.issue`. In an AsyncClient it may be a coroutine function. Such a token is
    not reported. ``client`` chooses the tokend to ask.
    """

    def __init__(
        self,
        name: str,
        *,
        origins: str | Iterable[str] | None = None,
        parameters: "Parameters | AsyncParameters | None" = None,
        client: TokenClient | None = None,
    ) -> None:
        """Raises ValueError if one of ``origins`` is no origin."""
        self._source = TokenSource(name, client or TokenClient())
        self._origins = Origins(name, origins, lambda text: _origin(httpx.URL(text)))
        self._parameters = parameters

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Yield each request to send; `httpx.Client` calls this."""
        flow = _Flow(request, self._origins)
        flow.send(self._source.first(_query(request), self._parameters_of(request)))
        while (sent := flow.next) is not None:
            step = flow.take((yield sent))
            if step is _Step.REFUSED:
                flow.send(self._source.newer(flow.grant))
            elif step is _Step.MOVED:
                flow.send(self._source.again(flow.grant, self._parameters_of(flow.request)))

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Yield each request to send; `httpx.AsyncClient` calls this."""
        flow = _Flow(request, self._origins)
        query, parameters = _query(request), await self._async_parameters_of(request)
        # An issue may wait for an upstream, as a report does.
        in_thread = worker_threads.read if self._parameters is None else worker_threads.report
        flow.send(await in_thread(self._source.first, query, parameters))
        while (sent := flow.next) is not None:
            step = flow.take((yield sent))
            if step is _Step.REFUSED:
                flow.send(await worker_threads.report(self._source.newer, flow.grant))
            elif step is _Step.MOVED:
                parameters = await self._async_parameters_of(flow.request)
                flow.send(await in_thread(self._source.again, flow.grant, parameters))

    def _parameters_of(self, request: httpx.Request) -> Mapping[str, str] | None:
        if self._parameters is None:
            return None
        request.read()
        found = self._parameters(request)
        if inspect.iscoroutine(found):
            found.close()
        if not isinstance(found, Mapping):
            raise TypeError("parameters= must return a mapping; a coroutine function is for an AsyncClient only")
        return found

    async def _async_parameters_of(self, request: httpx.Request) -> Mapping[str, str] | None:
        if self._parameters is None:
            return None
        await request.aread()
        found = self._parameters(request)
        return await found if inspect.isawaitable(found) else found


class TokendSignature(TokendAuth):
    """Sign each request with the headers of `TokenClient.sign`, for upstreams that want that (auth-token).

    The provider's ``sign_paths`` must have the request's method and path. The headers go to ``origins`` only, as the
    token of `TokendAuth`; a request that is made again within its origin is signed again.
    """

    def __init__(
        self, name: str, *, origins: str | Iterable[str] | None = None, client: TokenClient | None = None
    ) -> None:
        """Raises ValueError if one of ``origins`` is no origin."""
        super().__init__(name, origins=origins, parameters=_to_sign, client=client)
        self._source = SignatureSource(name, client or TokenClient())


def _to_sign(request: httpx.Request) -> Mapping[str, str]:
    return call_to_sign(request.method, request.url.raw_path.decode("ascii"), request.content)


class _Step(Enum):
    """What an answer asks for: nothing, a newer token, or the token at another place of the origin."""

    DONE = 0
    REFUSED = 1
    MOVED = 2


class _Flow:
    """State of one request and its repetitions. ``next`` is the request to send, None at the end."""

    grant: Grant

    def __init__(self, request: httpx.Request, origins: Origins) -> None:
        """Raises `OriginError` if the token may not go to the request's origin."""
        self._origin = _origin(request.url)
        origins.admit(self._origin)
        self.request = request
        self.next: httpx.Request | None = None
        self._retried = False

    def send(self, grant: Grant | None) -> None:
        """Send ``request`` with a grant next. The flow ends without a grant, or if the body cannot be sent again."""
        if grant is not None and not (self._retried and not _is_repeatable(self.request)):
            self.grant, self.next = grant, _granted(self.request, grant)

    def take(self, response: httpx.Response) -> _Step:
        """Take the answer to ``next``. Unless it is `_Step.DONE`, the caller calls `send`."""
        asked, self.next = self.next, None
        if response.request is not asked:
            return self._redirected(response)
        if response.status_code != 401 or self._retried:
            return _Step.DONE
        self._retried, self.request = True, response.request
        return _Step.REFUSED

    def _redirected(self, response: httpx.Response) -> _Step:
        """Decide about the last hop of a redirect: nothing if a hop left the origin or must not be repeated."""
        hops = [*(earlier.request for earlier in response.history), response.request]
        if any(_origin(hop.url) != self._origin for hop in hops):
            return _Step.DONE
        hop = response.request
        if (hop.method in _SAFE or response.status_code == 401) and _is_repeatable(hop):
            self.request = hop
            return _Step.MOVED
        return _Step.DONE


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


def _granted(request: httpx.Request, grant: Grant) -> httpx.Request:
    request.headers = _OneHopHeaders(request.headers, grant.headers)
    if grant.request_id is not None:
        request.url = request.url.copy_with(query=grant.query(_query(request)).encode("ascii"))
    return request


def _query(request: httpx.Request) -> str:
    return request.url.query.decode("ascii")


def _is_repeatable(request: httpx.Request) -> bool:
    return isinstance(request.stream, httpx.ByteStream)


def _origin(url: httpx.URL) -> Origin:
    return origin(url.scheme, url.raw_host.decode("ascii"), url.port)
