"""`TokendAuth` for aiohttp (3.12 or later): a client middleware.

    from tokend.client.aiohttp import TokendAuth

    auth = TokendAuth("tt", origin="https://ttrestapi.trade.tt")
    async with aiohttp.ClientSession("https://ttrestapi.trade.tt", middlewares=[auth]) as session:
        async with session.get("/ttacct/ext_uat_cert/accounts") as response:
            ...

Each request asks tokend for the token, which is never kept. One TokendAuth therefore serves any number of tasks and
sessions, and a token that tokend dropped is not sent again.
"""

from aiohttp import BytesPayload, ClientHandlerType, ClientRequest, ClientResponse
from yarl import URL

from tokend.client import worker_threads
from tokend.client.tokens import TokenClient


class TokendAuth:
    """Send tokend's token ``name`` with each request to ``origin``. Raises a `TokendError` if there is no token.

    aiohttp runs its middlewares for each hop of a redirect and does not show which hop it is: therefore ``origin`` is
    required. Requests to other origins pass unchanged, without the token.

    On 401 the token is reported. If tokend then has a newer one, and the body can be sent again (bytes, text, json,
    url-encoded data; never generators, files or multipart), the request is repeated once. ``client`` chooses the tokend
    to ask.
    """

    def __init__(self, name: str, *, origin: str, client: TokenClient | None = None) -> None:
        """Raises ValueError unless ``origin`` is a scheme and a host."""
        self._name = name
        self._origin = URL(origin).origin()
        self._client = client or TokenClient()

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Handle one request; aiohttp calls this."""
        if request.url.origin() != self._origin:
            return await handler(request)
        lease = await worker_threads.get(self._client, self._name)
        request.headers.update(lease.headers)
        response = await handler(request)
        if response.status != 401:
            return response
        newer = await worker_threads.newer_than(self._client, lease)
        if newer is None or not _is_repeatable(request):
            return response
        response.release()
        for name in lease.headers:
            request.headers.popall(name, None)
        request.headers.update(newer.headers)
        return await handler(request)


def _is_repeatable(request: ClientRequest) -> bool:
    return not request.body or isinstance(request.body, BytesPayload)
