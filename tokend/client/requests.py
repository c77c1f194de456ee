"""`TokendAuth` for requests.

    from tokend.client.requests import TokendAuth

    session = requests.Session()
    session.auth = TokendAuth("tt")
    session.get("https://ttrestapi.trade.tt/ttacct/ext_uat_cert/accounts")

Each request asks tokend for the token, which is never kept. One TokendAuth therefore serves any number of threads and
sessions, and a token that tokend dropped is not sent again.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias
from urllib.parse import urljoin

import requests
from requests.auth import AuthBase
from requests.utils import requote_uri
from urllib3.util import parse_url

from tokend.client.grants import Grant, TokenSource
from tokend.client.origins import Origin, Origins, origin
from tokend.client.signatures import SignatureSource, call_to_sign
from tokend.client.tokens import TokenClient

# Parameters of an issue, made from the request that the token is for.
Parameters: TypeAlias = "Callable[[requests.PreparedRequest], Mapping[str, str]]"


class TokendAuth(AuthBase):
    """Send tokend's token ``name`` with each request. Raises a `TokendError` if there is no token.

    The token goes to ``origins`` only, without them to the origin of the first request only: a request elsewhere, or
    over http except to loopback, raises `OriginError` before anything is sent. A redirect to another origin is followed
    without the token; http and https of one host are two origins.

    On 401 the token is reported. If tokend then has a newer one, and the body is bytes or text (never a generator, a
    file or an encoder that streams), the request is repeated once. Where the upstream wants a request id in each call
    (tt), the query gets one, unless it has one already.

    ``parameters`` is for tokens that are issued per request: a function of the prepared request that returns the
    parameters of `TokenClient.issue`. Such a token is not reported, and no redirect carries it. ``client`` chooses the
    tokend to ask.
    """

    def __init__(
        self,
        name: str,
        *,
        origins: str | Iterable[str] | None = None,
        parameters: "Parameters | None" = None,
        client: TokenClient | None = None,
    ) -> None:
        """Raises ValueError if one of ``origins`` is no origin."""
        self._source = TokenSource(name, client or TokenClient())
        self._origins = Origins(name, origins, _origin)
        self._parameters = parameters

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request; requests calls this for each request that no redirect caused."""
        self._origins.admit(_origin(request.url or ""))
        parameters = None if self._parameters is None else self._parameters(request)
        grant = self._source.first(_query(request.url or ""), parameters)
        _add(request, grant)
        request.register_hook("response", _ResponseHook(self._source, grant, issued=parameters is not None))
        return request


class TokendSignature(TokendAuth):
    """Sign each request with the headers of `TokenClient.sign`, for upstreams that want that (auth-token).

    The provider's ``sign_paths`` must have the request's method and path. The headers go to ``origins`` only, as the
    token of `TokendAuth`; no redirect carries them.
    """

    def __init__(
        self, name: str, *, origins: str | Iterable[str] | None = None, client: TokenClient | None = None
    ) -> None:
        """Raises ValueError if one of ``origins`` is no origin."""
        super().__init__(name, origins=origins, parameters=_to_sign, client=client)
        self._source = SignatureSource(name, client or TokenClient())


def _to_sign(request: requests.PreparedRequest) -> Mapping[str, str]:
    return call_to_sign(request.method or "GET", request.path_url, request.body)


class _ResponseHook:
    """Response hook: gets the answer to a request, and to each hop of its redirects, before requests acts on it."""

    def __init__(self, source: TokenSource, grant: Grant, *, issued: bool) -> None:
        self._source = source
        self._grant = grant
        self._issued = issued
        self._retried = False

    def __call__(self, response: requests.Response, **options: Any) -> requests.Response:
        # requests copies this request to make the request of a redirect: a change here is in the copy, too.
        request = response.request
        if response.status_code == 401 and not self._retried and self._token_is_in(request):
            response = self._repeat(response, request, options)
        if response.is_redirect:
            self._prepare_hop(response, request)
        return response

    def _repeat(
        self, response: requests.Response, request: requests.PreparedRequest, options: dict[str, Any]
    ) -> requests.Response:
        self._retried = True
        grant = self._source.newer(self._grant)
        if grant is None or not isinstance(request.body, (str, bytes, type(None))):
            return response
        self._take_token_from(request)
        self._grant = grant
        _add(request, grant)
        _ = response.content  # a connection can be used again only after its answer was read to the end
        response.close()
        answer: requests.Response = response.connection.send(request.copy(), **options)
        answer.history.append(response)
        return answer

    def _prepare_hop(self, response: requests.Response, request: requests.PreparedRequest) -> None:
        """Let the next hop of a redirect have the token, with a new request id, only within the origin."""
        if self._issued or not _stays_within_origin(response):
            self._take_token_from(request)
        elif self._grant.request_id is not None and self._token_is_in(request):
            self._grant = self._source.again(self._grant, None)
            response.headers["location"] = _with_query(response.headers["location"], self._grant)

    def _take_token_from(self, request: requests.PreparedRequest) -> None:
        for name in self._grant.headers:
            request.headers.pop(name, None)

    def _token_is_in(self, request: requests.PreparedRequest) -> bool:
        return all(request.headers.get(name) == value for name, value in self._grant.headers.items())


def _add(request: requests.PreparedRequest, grant: Grant) -> None:
    request.headers.update(grant.headers)
    if grant.request_id is not None:
        request.url = _with_query(request.url or "", grant)


def _with_query(url: str, grant: Grant) -> str:
    """Return a URL, absolute or relative, with the query of a grant."""
    place, sharp, fragment = url.partition("#")
    place, _, query = place.partition("?")
    return f"{place}?{grant.query(query)}{sharp}{fragment}"


def _query(url: str) -> str:
    return url.partition("#")[0].partition("?")[2]


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


def _origin(address: str) -> Origin:
    url = parse_url(address)  # the parser that decides where the connection goes
    return origin(url.scheme, url.host, url.port)
