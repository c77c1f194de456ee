"""`TokendAuth` for requests.

    from tokend.client.requests import TokendAuth

    session = requests.Session()
    session.auth = TokendAuth("tt")
    session.get("https://ttrestapi.trade.tt/ttacct/ext_uat_cert/accounts")

The token is asked for at each request and never kept: so one TokendAuth serves any number of threads and sessions,
and a token that tokend dropped is not sent once more.
"""

from typing import Any
from urllib.parse import urljoin

import requests
from requests.auth import AuthBase
from requests.utils import requote_uri
from urllib3.util import parse_url

from tokend.client.reporting import newer
from tokend.client.tokens import Lease, TokenClient


class TokendAuth(AuthBase):
    """Send tokend's token ``name`` with each request; raises a `TokendError` where there is none.

    On 401 the token is reported, and the request made once more if that brought a newer one and its body is bytes or
    text (a generator, a file or an encoder that streams is never replayed).

    The token goes to the origin of the request and to no other: a redirect elsewhere is followed without it, over
    http to https of the same host, too. ``client`` says which tokend to ask.
    """

    def __init__(self, name: str, *, client: TokenClient | None = None) -> None:
        self._name = name
        self._client = client or TokenClient()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Called by requests for each request that is not a redirect's."""
        lease = self._client.get(self._name)
        request.headers.update(lease.headers)
        request.register_hook("response", _Answers(self._client, lease))
        return request


class _Answers:
    """A response hook: sees the answer to a request, and to each hop that it is redirected to, before requests does."""

    def __init__(self, client: TokenClient, lease: Lease) -> None:
        self._client = client
        self._lease = lease
        self._retried = False

    def __call__(self, response: requests.Response, **options: Any) -> requests.Response:
        # requests makes a redirect's request from a copy of this one, so what is changed here goes along.
        request = response.request
        if response.status_code == 401 and not self._retried and self._is_carried_by(request):
            response = self._again(response, request, options)
        if response.is_redirect and not _stays(response):
            for name in self._lease.headers:
                request.headers.pop(name, None)
        return response

    def _again(
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
        _ = response.content  # read to its end, the connection can be used again
        response.close()
        answer: requests.Response = response.connection.send(request.copy(), **options)
        answer.history.append(response)
        return answer

    def _is_carried_by(self, request: requests.PreparedRequest) -> bool:
        return all(request.headers.get(name) == value for name, value in self._lease.headers.items())


def _stays(response: requests.Response) -> bool:
    """Whether a redirect leads to the origin that sent it, however its target is read."""
    # Header values are bytes of latin-1 to http.client, of UTF-8 to everybody else.
    location = response.headers["location"].encode("latin-1").decode("utf-8", "replace")
    try:
        target = urljoin(response.url, location)
        # What requests makes of it differs for characters that belong in no URL: both have to be the origin.
        return _origin(target) == _origin(requote_uri(target)) == _origin(response.url)
    except ValueError:  # urllib3's LocationParseError is one
        return False


def _origin(address: str) -> tuple[str | None, str | None, int | None]:
    url = parse_url(address)  # what the connection is opened by
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme or "")
