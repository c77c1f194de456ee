"""Google's token endpoint, as a service account sees it: a signed JWT for an access token or an ID token.

``GET /google/key.json`` is the sandbox's own: the JSON key of its one service account.
"""

import secrets
import threading
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.jwt_parts import BadTokenError, Parts
from tokend.sandbox.messages import Reply, Request, http_status, json_reply
from tokend.sandbox.options import Options
from tokend.sandbox.rs256 import private_key_pem, sign, verify

TOKEN, USERINFO, KEY = "/google/token", "/google/userinfo", "/google/key.json"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# Google's own clients name it, whatever token_uri the key has.
GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"
KEY_ID = "sandbox-key-1"
ACCOUNT_ID = "100000000000000000001"
LONGEST_JWT_SECONDS = 3600
# Tolerance of the clock of a caller.
AHEAD_SECONDS = 300
LIFE_SECONDS = 3600.0
MOST_TOKENS = 10_000  # the oldest is dropped first


class Google:
    """Google with one service account, which may act for one person."""

    name = "google"
    paths: ClassVar[tuple[str, ...]] = (f"POST {TOKEN}", f"GET {USERINFO}", f"GET {KEY}")

    def __init__(self, options: Options, clock: SandboxClock) -> None:
        self.credentials: Mapping[str, str] = {
            "client_email": options.google_client_email,
            "subject": options.google_subject,
        }
        self._life = options.google_ttl or options.ttl or LIFE_SECONDS
        self._clock = clock
        self._lock = threading.Lock()
        # {access token: its end in Unix seconds, whose it is}
        self._issued: dict[str, tuple[float, str]] = {}

    def route(self, path: str) -> str | None:
        """Accept the three paths."""
        return path if path in (TOKEN, USERINFO, KEY) else None

    def answer(self, request: Request) -> Reply:
        """Answer one request."""
        wanted = "POST" if request.path == TOKEN else "GET"
        if request.method != wanted:
            return json_reply(405, {"error": "invalid_request"}, headers={"Allow": wanted})
        if request.path == KEY:
            return json_reply(200, key_file(_origin(request), self.credentials["client_email"]))
        return self._token(request) if request.path == TOKEN else self._userinfo(request)

    def refusal(self, request: Request, code: int | str | None) -> Reply:  # noqa: ARG002  (the Protocol's signature)
        """Answer invalid_grant, the error code in ``code``, or its HTTP status."""
        return _error(code if isinstance(code, str) else "invalid_grant", "Refused.", http_status(code, 400))

    def failure(self, status: int) -> Reply:
        """Answer with an OAuth error."""
        return _error("rate_limit_exceeded" if status == 429 else "internal_failure", "Try again later.", status)

    def _token(self, request: Request) -> Reply:
        form = parse_qs(request.body.decode("latin-1"))
        if request.media_type != "application/x-www-form-urlencoded" or form.get("grant_type") != [GRANT]:
            return _error("unsupported_grant_type", "Invalid grant_type")
        try:
            parts = verify(form.get("assertion", [""])[0])
        except BadTokenError:
            return _error("invalid_grant", "Invalid JWT Signature.")
        return self._problem(parts, _origin(request) + TOKEN) or self._issue(parts.claims)

    def _problem(self, parts: Parts, token_uri: str) -> Reply | None:
        """Return the refusal of a JWT, in Google's words; None for a good one."""
        claims, now = parts.claims, self._clock.now()
        issued, expires = claims.get("iat"), claims.get("exp")
        if parts.header.get("kid") != KEY_ID:
            return _error("invalid_grant", "Invalid JWT Signature.")
        if claims.get("iss") != self.credentials["client_email"]:
            return _error("invalid_grant", "Invalid grant: account not found")
        if claims.get("aud") not in (token_uri, GOOGLE_TOKEN_URI):
            return _error("invalid_grant", "Invalid JWT: Failed audience check.")
        if not _are_in_time(issued, expires, now):
            return _error("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a "
                          "reasonable timeframe. Check your iat and exp values in the JWT claim.")  # fmt: skip
        if claims.get("sub") not in (None, self.credentials["subject"]):
            return _error("unauthorized_client", "Client is unauthorized to retrieve access tokens using this method, "
                          "or client not authorized for any of the scopes requested.", 401)  # fmt: skip
        if not claims.get("scope") and not claims.get("target_audience"):
            return _error("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        return None

    def _issue(self, claims: Mapping[str, Any]) -> Reply:
        now = int(self._clock.now())
        if claims.get("target_audience"):
            email = self.credentials["client_email"]
            about = {"aud": claims["target_audience"], "azp": email, "email": email, "email_verified": True,
                     "exp": int(now + self._life), "iat": now, "iss": "https://accounts.google.com",
                     "sub": ACCOUNT_ID}  # fmt: skip
            return json_reply(200, {"id_token": sign(about, key_id="sandbox-google")})
        token = "ya29.c." + secrets.token_urlsafe(150)
        with self._lock:
            if len(self._issued) >= MOST_TOKENS:
                del self._issued[next(iter(self._issued))]
            self._issued[token] = (self._clock.now() + self._life, str(claims.get("sub") or claims["iss"]))
        # As Google's: one second less than the life.
        life = max(1, int(self._life) - 1)
        return json_reply(200, {"access_token": token, "expires_in": life, "token_type": "Bearer"})

    def _userinfo(self, request: Request) -> Reply:
        with self._lock:
            ends, email = self._issued.get(request.bearer or "", (0.0, ""))
        if ends <= self._clock.now():
            return json_reply(
                401, {"error": {"code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED"}}
            )
        return json_reply(200, {"sub": ACCOUNT_ID, "email": email, "email_verified": True})


def key_file(origin: str, client_email: str) -> dict[str, str]:
    """Return the JSON key of the service account, for a sandbox at ``origin``."""
    return {
        "type": "service_account",
        "project_id": "sandbox-project",
        "private_key_id": KEY_ID,
        "private_key": private_key_pem(),
        "client_email": client_email,
        "client_id": ACCOUNT_ID,
        "token_uri": origin + TOKEN,
        "universe_domain": "googleapis.com",
    }


def _are_in_time(issued: Any, expires: Any, now: float) -> bool:
    if type(issued) is not int or type(expires) is not int:
        return False
    return issued <= now + AHEAD_SECONDS and now < expires <= issued + LONGEST_JWT_SECONDS


def _origin(request: Request) -> str:
    return "http://" + request.headers.get("host", "")


def _error(code: str, text: str, status: int = 400) -> Reply:
    return json_reply(status, {"error": code, "error_description": text})
