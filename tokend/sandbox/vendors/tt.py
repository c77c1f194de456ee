"""Trading Technologies REST 2.0: the token POST, its documented redirect, and one protected endpoint.

The gateway in front answers ``{"message": …}``; TT itself answers ``{"status": "Fail", "status_message": …}``.
"""

import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from math import ceil
from typing import ClassVar
from urllib.parse import unquote, urlencode

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.hs256 import ISSUER_KEY, BadTokenError, sign, verify
from tokend.sandbox.messages import Reply, Request, http_status, json_reply
from tokend.sandbox.options import Options

DEFAULT_LIFE_SECONDS = 12 * 3600
LONGEST_MEMORY = 100_000  # stored request ids and tickets; the oldest is dropped first
_ROUTE = re.compile(
    r"/(?:ttid/(?P<env>ext_uat_cert|ext_prod_live|ext_prod_sim)/token(?P<ticket>/[A-Za-z0-9_-]+)?"
    r"|ttuser/(?P<user_env>ext_uat_cert|ext_prod_live|ext_prod_sim)/users)"
)
# <app>-<company>--<uuid4>: names without whitespace and without the characters that TT forbids.
_NAME = r"[^\s$&+,/:;=?@\"<>#%{}|\\^~\[\]`]+"
_REQUEST_ID = re.compile(
    rf"{_NAME}-{_NAME}--[0-9a-fA-F]{{8}}-[0-9a-fA-F]{{4}}-4[0-9a-fA-F]{{3}}-[89abAB][0-9a-fA-F]{{3}}-[0-9a-fA-F]{{12}}"
)
_APP_KEY = re.compile(r"app_key=((?:[A-Za-z0-9_.~-]|%[0-9A-Fa-f]{2})+)")
_GATEWAY = {403: "Forbidden", 429: "Too Many Requests", 503: "Service Unavailable", 504: "Endpoint request timed out"}


class TT:
    """TT REST 2.0 with one account. A token is valid in the environment that issued it."""

    name = "tt"
    paths: ClassVar[tuple[str, ...]] = ("POST /ttid/ext_uat_cert/token", "GET /ttuser/ext_uat_cert/users")

    def __init__(self, options: Options, clock: SandboxClock) -> None:
        self.credentials: Mapping[str, str] = {"api_key": options.tt_api_key, "api_secret": options.tt_api_secret}
        self._options = options
        self._clock = clock
        self._life = options.tt_ttl or options.ttl or DEFAULT_LIFE_SECONDS
        self._lock = threading.Lock()
        self._last_post: float | None = None
        self._request_ids: OrderedDict[str, str] = OrderedDict()
        self._tickets: OrderedDict[str, str] = OrderedDict()

    def route(self, path: str) -> str | None:
        """Accept the token and user paths of the three environments, in lower case; mask tickets."""
        match = _ROUTE.fullmatch(path)
        return None if match is None else path.removesuffix(match["ticket"] or "") + ("/…" if match["ticket"] else "")

    def answer(self, request: Request) -> Reply:
        """Answer the token POST, the GET that follows a 303, or a list of users."""
        match = _ROUTE.fullmatch(request.path)
        if match is None or request.method != ("POST" if match["env"] and not match["ticket"] else "GET"):
            return json_reply(403, {"message": "Missing Authentication Token"})
        if request.headers.get("x-api-key") != self.credentials["api_key"]:
            return self.failure(403)
        if match["ticket"]:
            return self._redeem(match["ticket"][1:])
        if match["env"]:
            return self._post(request, match["env"])
        return self._users(request, match["user_env"])

    def refusal(self, request: Request, code: int | str | None) -> Reply:  # noqa: ARG002  (the Protocol's signature)
        """Refuse the credentials. A text in ``code`` is the status (Fail, StatusFail), a number the HTTP status."""
        status = code if isinstance(code, str) else self._options.tt_status or "Fail"
        return json_reply(
            http_status(code, self._options.tt_status_code),
            {"status": status, "status_message": "Invalid application key or secret"},
        )

    def failure(self, status: int) -> Reply:
        """Answer like the gateway."""
        return json_reply(status, {"message": _GATEWAY.get(status, "Internal server error")})

    def _post(self, request: Request, env: str) -> Reply:
        if not self._admit():
            return self.failure(429)
        problem = self._request_id_problem(request)
        if problem:
            return _fail(400, problem)
        if request.media_type != "application/x-www-form-urlencoded":
            return _fail(400, "Content-Type must be application/x-www-form-urlencoded")
        first, _, second = request.body.decode("ascii", "replace").partition("&")
        app_key = _APP_KEY.fullmatch(second)
        if first != "grant_type=user_app" or app_key is None:
            return _fail(400, "The body must be grant_type=user_app&app_key=<percent-encoded key:secret>")
        if unquote(app_key[1]) != "{api_key}:{api_secret}".format_map(self.credentials):
            return self.refusal(request, None)
        if not self._options.tt_redirect:
            return self._token(env)
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            _remember(self._tickets, ticket, env)
        query = urlencode({"requestId": request.parameters("requestId")[0]})
        return Reply(status=303, headers={"Location": f"{request.path}/{ticket}?{query}"})

    def _admit(self) -> bool:
        now = time.monotonic()
        with self._lock:
            early = self._last_post is not None and now - self._last_post < self._options.tt_interval
            if not early:
                self._last_post = now
            return not early

    def _request_id_problem(self, request: Request) -> str | None:
        given = request.parameters("requestId")
        if len(given) != 1 or not given[0]:
            return "requestId is required"
        if not _REQUEST_ID.fullmatch(given[0]):
            return "requestId must be <app>-<company>--<guid>"
        with self._lock:
            if given[0] in self._request_ids:
                return "requestId must be unique"
            _remember(self._request_ids, given[0], "")
        return None

    def _redeem(self, ticket: str) -> Reply:
        with self._lock:
            env = self._tickets.pop(ticket, None)
        return _fail(404, "Unknown ticket") if env is None else self._token(env)

    def _token(self, env: str) -> Reply:
        now = self._clock.now()
        end = now + self._life
        claims = {
            "iss": "TTID",
            "sub": "10001",
            "env": env,
            "jti": secrets.token_hex(16),
            "iat": int(now),
            "exp": ceil(end),  # seconds …
            "expires": int(end * 1000) * 1_000_000,  # … and nanoseconds: exact to the millisecond
        }
        seconds = ceil(self._life)
        value = {
            "status": "Ok",
            "access_token": sign(claims, ISSUER_KEY),
            "token_type": "bearer",
            "seconds_until_expiry": str(seconds) if self._options.tt_seconds_as_string else seconds,
        }
        return json_reply(200, value)

    def _users(self, request: Request, env: str) -> Reply:
        try:
            claims = verify(request.bearer or "", ISSUER_KEY)
        except BadTokenError:
            claims = {}
        if claims.get("env") != env:
            return json_reply(401, {"message": "Unauthorized"})
        if self._clock.now() * 1e9 >= claims["expires"]:
            return json_reply(401, {"message": "The incoming token has expired"})
        problem = self._request_id_problem(request)
        if problem:
            return _fail(400, problem)
        return json_reply(200, {"status": "Ok", "users": [{"id": 10001, "alias": "SANDBOX"}], "lastPage": "true"})


def _fail(http_status: int, message: str) -> Reply:
    return json_reply(http_status, {"status": "Fail", "status_message": message})


def _remember(memory: "OrderedDict[str, str]", key: str, value: str) -> None:
    memory[key] = value
    if len(memory) > LONGEST_MEMORY:
        memory.popitem(last=False)
