"""ProjectX Gateway (TopstepX): login by API key, validate, logout, and one protected endpoint.

A failed login is HTTP 200 with ``success: false``. ASP.NET gives all other errors (400 ProblemDetails, bare 401, 429).
"""

import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.hs256 import ISSUER_KEY, BadTokenError, sign, verify
from tokend.sandbox.messages import Reply, Request, json_reply
from tokend.sandbox.options import Options

LOGIN, VALIDATE, LOGOUT = "/api/Auth/loginKey", "/api/Auth/validate", "/api/Auth/logout"
ACCOUNTS = "/api/Account/search"
INVALID_CREDENTIALS = 3
# ValidateErrorCode. Each endpoint has its own numbers: 3 has another meaning at the login.
VALIDATE_CODES = {"invalid-session": 1, "session-not-found": 2, "expired": 3, "unknown-error": 4}
DEFAULT_LIFE_SECONDS = 24 * 3600
LIMIT_WINDOW_SECONDS = 60.0
LONGEST_MEMORY = 10_000  # sessions whose end is not in their token; the oldest is dropped first
_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_ROLE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
_TITLES = {400: "Bad Request", 401: "Unauthorized", 405: "Method Not Allowed", 415: "Unsupported Media Type"}


class ProjectX:
    """ProjectX Gateway. A new login leaves older tokens valid; only a logout ends a token early."""

    name = "projectx"
    paths: ClassVar[tuple[str, ...]] = tuple(f"POST {path}" for path in (LOGIN, VALIDATE, LOGOUT, ACCOUNTS))

    def __init__(self, options: Options, clock: SandboxClock) -> None:
        self.credentials: Mapping[str, str] = {
            "username": options.projectx_username,
            "api_key": options.projectx_api_key,
        }
        self._options = options
        self._clock = clock
        self._life = options.projectx_ttl or options.ttl or DEFAULT_LIFE_SECONDS
        self._lock = threading.Lock()
        self._requests: deque[float] = deque()
        # {session: Unix seconds of its end}, for tokens without exp and after a logout.
        self._ends: dict[str, float] = {}

    def route(self, path: str) -> str | None:
        """Accept the four documented paths."""
        return path if path in (LOGIN, VALIDATE, LOGOUT, ACCOUNTS) else None

    def answer(self, request: Request) -> Reply:
        """Answer a login, a validation, a logout or an account search."""
        if not self._admit():
            return self.failure(429)
        if request.method != "POST":
            return _problem(405, headers={"Allow": "POST"})
        if request.path == LOGIN:
            return self._login(request)
        session = self._session(request)
        if session is None:
            return _unauthorized()
        if request.path == VALIDATE:
            return self._validate(request, session)
        if request.path == LOGOUT:
            self._remember(session.id, 0.0)
            return _result(request, {"success": True, "errorCode": 0, "errorMessage": None})
        return self._accounts(request)

    def refusal(self, request: Request, code: int | str | None) -> Reply:
        """Answer a login or a validation with an error code, all else with 401."""
        if request.path == LOGIN:
            return _login_failed(request, code if isinstance(code, int) else INVALID_CREDENTIALS)
        if request.path == VALIDATE:
            return _validated(request, code=code if isinstance(code, int) else VALIDATE_CODES["invalid-session"])
        return _unauthorized()

    def failure(self, status: int) -> Reply:
        """Answer without a body, like its gateway."""
        return Reply(status=status, content_type="text/plain")

    def _admit(self) -> bool:
        limit, now = self._options.projectx_limit, time.monotonic()
        if not limit:
            return True
        with self._lock:
            while self._requests and self._requests[0] <= now - LIMIT_WINDOW_SECONDS:
                self._requests.popleft()
            if len(self._requests) >= limit:
                return False
            self._requests.append(now)
            return True

    def _login(self, request: Request) -> Reply:
        if request.media_type != "application/json":
            return _problem(415)
        body = request.json_object()
        if body is None:
            return _problem(400, errors={"$": ["The JSON value could not be converted."]})
        fields = ("userName", "apiKey")
        errors = {field: [f"The {field} field is required."] for field in fields if body.get(field) in (None, "")}
        errors |= {f"$.{field}": ["The JSON value could not be converted to System.String."]
                   for field in fields if field not in errors and not isinstance(body[field], str)}  # fmt: skip
        if errors:
            return _problem(400, errors=errors)
        account = self.credentials
        if (body["userName"], body["apiKey"]) != (account["username"], account["api_key"]):
            return _login_failed(request, INVALID_CREDENTIALS)
        token = self._issue(body["userName"])
        if self._options.projectx_expires_in_field:
            # Whole minutes, rounded up; exp is exact (see Options).
            return _result(request, {"success": True, "token": token, "expiresIn": ceil(self._life / 60)})
        return _result(request, {"token": token, "success": True, "errorCode": 0, "errorMessage": None})

    def _issue(self, user: str) -> str:
        session, end = str(uuid.uuid4()), self._clock.now() + self._life
        claims: dict[str, str | int] = {
            _CLAIMS + "nameidentifier": "10001",
            _CLAIMS + "sid": session,
            _CLAIMS + "name": user,
            _ROLE: "user",
        }
        if self._options.no_projectx_exp:
            self._remember(session, end)
        else:
            claims["exp"] = ceil(end)  # whole seconds, never earlier than the life in the options
        return sign(claims, ISSUER_KEY)

    def _remember(self, session: str, end: float) -> None:
        with self._lock:
            self._ends[session] = end
            if len(self._ends) > LONGEST_MEMORY:
                del self._ends[next(iter(self._ends))]

    def _session(self, request: Request) -> "_Session | None":
        """Return the session of the bearer token; None if it is missing, foreign, expired or logged out."""
        token = request.bearer
        try:
            claims = verify(token or "", ISSUER_KEY)
        except BadTokenError:
            return None
        session = claims.get(_CLAIMS + "sid")
        if token is None or not isinstance(session, str):
            return None
        with self._lock:
            end = self._ends.get(session, claims.get("exp", 0))
        if self._clock.now() >= end:
            return None
        return _Session(token=token, id=session, user=str(claims.get(_CLAIMS + "name")))

    def _validate(self, request: Request, session: "_Session") -> Reply:
        wanted = self._options.projectx_validate
        if wanted in VALIDATE_CODES:
            return _validated(request, code=VALIDATE_CODES[wanted])
        if wanted == "null":
            return _validated(request)
        return _validated(request, token=session.token if wanted == "same" else self._issue(session.user))

    def _accounts(self, request: Request) -> Reply:
        account = {
            "id": 1,
            "name": "SANDBOX-50K",
            "balance": 50000.0,
            "canTrade": True,
            "isVisible": True,
            "simulated": True,
        }
        return _result(request, {"accounts": [account], "success": True, "errorCode": 0, "errorMessage": None})


@dataclass(frozen=True, slots=True, repr=False)
class _Session:
    token: str
    id: str
    user: str


def _result(request: Request, value: object) -> Reply:
    # The vendor's documentation requests text/plain, and the answer is JSON of that type.
    plain = request.headers.get("accept", "").startswith("text/plain")
    return json_reply(200, value, content_type=f"{'text/plain' if plain else 'application/json'}; charset=utf-8")


def _login_failed(request: Request, code: int) -> Reply:
    return _result(request, {"token": None, "success": False, "errorCode": code, "errorMessage": None})


def _validated(request: Request, *, token: str | None = None, code: int = 0) -> Reply:
    return _result(request, {"success": code == 0, "errorCode": code, "errorMessage": None, "newToken": token})


def _unauthorized() -> Reply:
    return Reply(status=401, content_type="text/plain", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


def _problem(
    status: int, *, errors: dict[str, list[str]] | None = None, headers: dict[str, str] | None = None
) -> Reply:
    title = "One or more validation errors occurred." if errors else _TITLES[status]
    value: dict[str, object] = {
        "type": f"https://tools.ietf.org/html/rfc9110#section-15.5.{status - 399}",
        "title": title,
        "status": status,
    }
    if errors:
        value["errors"] = errors
    value["traceId"] = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-00"
    return json_reply(status, value, content_type="application/problem+json; charset=utf-8", headers=headers)
