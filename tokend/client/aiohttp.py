"""`TokendAuth` for aiohttp (3.12 or later): a client middleware.

    from tokend.client.aiohttp import TokendAuth

    auth = TokendAuth("tt", origins=("https://ttrestapi.trade.tt",))
    async with aiohttp.ClientSession("https://ttrestapi.trade.tt", middlewares=[auth]) as session:
        async with session.get("/ttacct/ext_uat_cert/accounts") as response:
            ...

Each request asks tokend for the token, which is never kept. One TokendAuth therefore serves any number of tasks and
sessions, and a token that tokend dropped is not sent again.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import TypeAlias

from aiohttp import BytesPayload, ClientHandlerType, ClientRequest, ClientResponse
from yarl import URL

from tokend.client import worker_threads
from tokend.client.grants import Grant, TokenSource
from tokend.client.origins import Origin, Origins, origin
from tokend.client.signatures import SignatureSource, call_to_sign
from tokend.client.tokens import TokenClient

# Parameters of an issue, made from the request that the token is for.
Parameters: TypeAlias = "Callable[[ClientRequest], Mapping[str, str] | Awaitable[Mapping[str, str]]]"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# The origin to which the last answer in this task redirects. aiohttp runs its middlewares for each hop and does not
# show which request is a hop.
_hop: ContextVar[Origin | None] = ContextVar("tokend_client_hop", default=None)


class TokendAuth:
    """Send tokend's token ``name`` with each request. Raises a `TokendError` if there is no token.

    The token goes to ``origins`` only, without them to the origin of the first request only: a request elsewhere, or
    over http except to loopback, raises `OriginError` before anything is sent. A redirect elsewhere is followed without
    the token. With ``origin`` instead of ``origins`` the token goes to that one, and requests elsewhere are made
    without the token: for a session that talks to several hosts.

    On 401 the token is reported. If tokend then has a newer one, and the body can be sent again (bytes, text, json,
    url-encoded data; never generators, files or multipart), the request is repeated once. Where the upstream wants a
    request id in each call (tt), the query gets one, unless it has one already.

    ``parameters`` is for tokens that are issued per request: a function or coroutine function of the request that
    returns the parameters of `TokenClient.issue`. Such a token is not reported. ``client`` chooses the tokend to ask.
    """

    def __init__(
        self,
        name: str,
        *,
        origins: str | Iterable[str] | None = None,
        origin: str | None = None,
        parameters: "Parameters | None" = None,
        client: TokenClient | None = None,
    ) -> None:
        """Raises ValueError if an origin is none, or both are given."""
        if origin is not None and origins is not None:
            raise ValueError("give either origins= or origin=")
        self._source = TokenSource(name, client or TokenClient())
        self._origins = Origins(name, origins if origin is None else origin, lambda text: _origin(URL(text)))
        self._passes_others = origin is not None
        self._parameters = parameters

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Handle one request; aiohttp calls this."""
        hop = _hop.get()
        _hop.set(None)
        place = _origin(request.url)
        if not self._origins.includes(place) and (self._passes_others or place == hop):
            return _noted(await handler(request))
        self._origins.admit(place)
        # The target of a redirect may repeat the request id of the first request, which is used up.
        query = "" if place == hop else request.url.raw_query_string
        return _noted(await self._with_token(request, handler, query))

    async def _with_token(self, request: ClientRequest, handler: ClientHandlerType, query: str) -> ClientResponse:
        parameters = await self._parameters_of(request)
        # An issue may wait for an upstream, as a report does.
        in_thread = worker_threads.read if parameters is None else worker_threads.report
        grant = await in_thread(self._source.first, query, parameters)
        _add(request, grant)
        response = await handler(request)
        if response.status != 401:
            return response
        newer = await worker_threads.report(self._source.newer, grant)
        if newer is None or not _is_repeatable(request):
            return response
        response.release()
        for name in grant.headers:
            request.headers.popall(name, None)
        _add(request, newer)
        return await handler(request)

    async def _parameters_of(self, request: ClientRequest) -> Mapping[str, str] | None:
        if self._parameters is None:
            return None
        found = self._parameters(request)
        return await found if inspect.isawaitable(found) else found


class TokendSignature(TokendAuth):
    """Sign each request with the headers of `TokenClient.sign`, for upstreams that want that (auth-token).

    The provider's ``sign_paths`` must have the request's method and path. The headers go to ``origins`` only, as the
    token of `TokendAuth`.
    """

    def __init__(
        self, name: str, *, origins: str | Iterable[str] | None = None, client: TokenClient | None = None
    ) -> None:
        """Raises ValueError if one of ``origins`` is no origin."""
        super().__init__(name, origins=origins, parameters=_to_sign, client=client)
        self._source = SignatureSource(name, client or TokenClient())


async def _to_sign(request: ClientRequest) -> Mapping[str, str]:
    body = request.body
    content = await body.as_bytes() if isinstance(body, BytesPayload) else body or None
    return call_to_sign(request.method, request.url.raw_path_qs, content)


def _add(request: ClientRequest, grant: Grant) -> None:
    request.headers.update(grant.headers)
    if grant.request_id is not None:
        query = grant.query(request.url.raw_query_string)
        request.url = URL(f"{request.url.with_query(None)}?{query}", encoded=True)


def _noted(response: ClientResponse) -> ClientResponse:
    """Note where a redirect leads: aiohttp makes the request of a hop next, in the same task."""
    if response.status in _REDIRECTS:
        location = response.headers.get("Location") or response.headers.get("URI") or ""
        try:
            _hop.set(_origin(response.url.join(URL(location))))
        except ValueError:
            _hop.set(None)  # aiohttp raises its own error for such a target
    return response


def _is_repeatable(request: ClientRequest) -> bool:
    return not request.body or isinstance(request.body, BytesPayload)


def _origin(url: URL) -> Origin:
    return origin(url.scheme, url.raw_host, url.explicit_port)
