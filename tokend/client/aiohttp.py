"""`TokendAuth` for aiohttp (3.12 or later): a client middleware.

    from tokend.client.aiohttp import TokendAuth

    auth = TokendAuth("tt", origin="https://ttrestapi.trade.tt")
    async with aiohttp.ClientSession("https://ttrestapi.trade.tt", middlewares=[auth]) as session:
        async with session.get("/ttacct/ext_uat_cert/accounts") as response:
            ...

The token is asked for at each request and never kept: so one TokendAuth serves any number of tasks and sessions, and a
token that tokend dropped is not sent once more.
"""

from aiohttp import BytesPayload, ClientHandlerType, ClientRequest, ClientResponse
from yarl import URL

from tokend.client import beside
from tokend.client.tokens import TokenClient


class TokendAuth:
    """Send tokend's token ``name`` with each request to ``origin``; raises a `TokendError` where there is none.

    aiohttp runs its middlewares for each hop of a redirect and does not tell which one a hop is: so the origin has to
    be named. Requests to any other pass through as they are, without the token.

    On 401 the token is reported, and the request made once more if that brought a newer one and its body is at hand
    (bytes, text, json, url-encoded data; generators, files and multipart are never replayed). ``client`` says which
    tokend to ask.
    """

    def __init__(self, name: str, *, origin: str, client: TokenClient | None = None) -> None:
        """Raise ValueError where ``origin`` is not a scheme and a host."""
        self._name = name
        self._origin = URL(origin).origin()
        self._client = client or TokenClient()

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Called by aiohttp."""
        if request.url.origin() != self._origin:
            return await handler(request)
        lease = await beside.get(self._client, self._name)
        request.headers.update(lease.headers)
        response = await handler(request)
        if response.status != 401:
            return response
        newer = await beside.newer_than(self._client, lease)
        if newer is None or not _is_at_hand(request):
            return response
        response.release()
        for name in lease.headers:
            request.headers.popall(name, None)
        request.headers.update(newer.headers)
        return await handler(request)


def _is_at_hand(request: ClientRequest) -> bool:
    return not request.body or isinstance(request.body, BytesPayload)
