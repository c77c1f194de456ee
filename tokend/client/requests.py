"""`TokendAuth` for requests.

    from tokend.client.requests import TokendAuth

    session = requests.Session()
    session.auth = TokendAuth("tt")
    session.get("https://ttrestapi.trade.tt/ttacct/ext_uat_cert/accounts")

Each request asks tokend for the token, which is never kept. One TokendAuth therefore serves any number of threads and
sessions, and a token that tokend dropped is not sent again.
"""

from typing import Any
from urllib.parse import urljoin

import requests
from requests.auth import AuthBase
from requests.utils import requote_uri
from urllib3.util import parse_url

from tokend.client.leases import Lease
from tokend.client.reporting import newer
from tokend.client.tokens import TokenClient


class TokendAuth(AuthBase):
    """Send tokend's token ``name`` with each request. Raises a `TokendError` if there is no token.

    On 401 the token is reported. If tokend then has a newer one, and the body is bytes or text (never a generator, a
    file or an encoder that streams), the request is repeated once.

    The token goes only to the origin of the request. A redirect to another origin is followed without the token; http
    and https of one host are two origins. ``client`` chooses the tokend to ask.
    """

    def __init__(self, name: str, *, client: TokenClient | None = None) -> None:
        self._name = name
        self._client = client or TokenClient()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request; requests calls this for each request that no redirect caused."""
        lease = self._client.get(self._name)
        request.headers.update(lease.headers)
        request.register_hook("response", _ResponseHook(self._client, lease))
        return request


class _ResponseHook:
    """Response hook: gets the answer to a request, and to each hop of its redirects, before requests acts on it."""

    def __init__(self, client: TokenClient, lease: Lease) -> None:
        self._client = client
        self._lease = lease
        self._retried = False

    def __call__(self, response: requests.Response, **options: Any) -> requests.Response:
        # requests copies this request to make the request of a redirect: a change here is in the copy, too.
        request = response.request
        if response.status_code == 401 and not self._retried and self._token_is_in(request):
            response = self._repeat(response, request, options)
        if response.is_redirect and not _stays_within_origin(response):
            for name in self._lease.headers:
                request.headers.pop(name, None)
        return response

    def _repeat(
        self, response: requests.Response, request: requests.PreparedRequest, options: dict[str, Any]
    ) -> requests.Response:
        self._retried = True
        lease = newer(self._client, self._lease)
        if lease is None or not isinstance(request.body, (str, bytes, type(None))):
            return response
        for name in self._lease.headers:
            request.headers.pop(name, None)
        request.headers.update(lease.headers)
        self._lease = lease
        _ = response.content  # a connection can be used again only after its answer was read to the end
        response.close()
        answer: requests.Response = response.connection.send(request.copy(), **options)
        answer.history.append(response)
        return answer

    def _token_is_in(self, request: requests.PreparedRequest) -> bool:
        return all(request.headers.get(name) == value for name, value in self._lease.headers.items())


def _stays_within_origin(response: requests.Response) -> bool:
    """Return whether a redirect stays within its origin, however a program reads its target."""
    # http.client decodes header values as latin-1; all other programs read them as UTF-8.
    location = response.headers["location"].encode("latin-1").decode("utf-8", "replace")
    try:
        target = urljoin(response.url, location)
        # For characters that no URL may hold, requests changes the target: both forms must be within the origin.
        return _origin(target) == _origin(requote_uri(target)) == _origin(response.url)
    except ValueError:  # urllib3's LocationParseError is one
        return False


def _origin(address: str) -> tuple[str | None, str | None, int | None]:
    url = parse_url(address)  # the parser that decides where the connection goes
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme or "")
