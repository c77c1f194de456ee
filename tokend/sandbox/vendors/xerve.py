"""Xerve: signed requests that create users and single-use login links, and those links; signatures of all requests."""

import hashlib
import hmac
import re
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.messages import Reply, Request, json_reply
from tokend.sandbox.options import Options
from tokend.sandbox.vendors import xerve_balance
from tokend.sandbox.vendors.xerve_balance import XerveBalance
from tokend.sandbox.vendors.xerve_database import User, XerveDatabase

GENERATE, LOGIN = "/api/v1/generate-auth-token", "/login/"
WINDOW_SECONDS = 300
DEFAULT_MINUTES, LEAST_MINUTES, MOST_MINUTES = 2, 1, 1440
LONGEST = {"clientId": 255, "username": 100, "displayName": 100, "ipAddress": 45}
_DIGITS = re.compile(r"[0-9]{1,15}", re.ASCII)


class Xerve:
    """Xerve. Each valid call creates or updates a user and adds a token; older tokens stay valid."""

    name = "xerve"
    paths: ClassVar[tuple[str, ...]] = (
        f"POST {GENERATE}",
        *(f"{method} {path}" for path, method in xerve_balance.METHODS.items()),
    )

    def __init__(self, options: Options, clock: SandboxClock, database: XerveDatabase) -> None:
        self.credentials: Mapping[str, str] = {"client_secret": options.xerve_client_secret}
        self._life = options.xerve_ttl or options.ttl
        self._clock = clock
        self._database = database
        self._balance = XerveBalance(clock, database)

    def route(self, path: str) -> str | None:
        """Accept the API's paths and the login links; mask the links' tokens."""
        if path == GENERATE or path in xerve_balance.METHODS:
            return path
        return f"{LOGIN}…" if path.startswith(LOGIN) else None

    def answer(self, request: Request) -> Reply:
        """Generate a token, log its user in once, or show and change a balance."""
        method = "POST" if request.path == GENERATE else xerve_balance.METHODS.get(request.path)
        if method is None:
            return self._log_in(request)
        if request.method != method:
            return _error(405, "Method not allowed")
        problem = self._signature_problem(request)
        if problem:
            return _error(401, problem)
        if request.path != GENERATE:
            return self._balance.answer(request)
        body = request.json_object() or {}  # like Laravel: a body that is no JSON object has no fields
        errors = validate(body)
        if errors:
            return _invalid(errors)
        try:
            return self._generate(request, body)
        except (sqlite3.Error, UnicodeEncodeError):  # UnicodeEncodeError: half a surrogate pair in a field
            return self.failure(500)

    def refusal(self, request: Request, code: int | str | None) -> Reply:  # noqa: ARG002  (the Protocol's signature)
        """Answer with one of the three documented errors: 401 signature, 400 fields, 500."""
        if code == 400:
            return _invalid({"clientId": ["The clientId field is required."]})
        return self.failure(code) if isinstance(code, int) and code >= 500 else _error(401, "Invalid signature")

    def failure(self, status: int) -> Reply:
        """Answer with the documented error. 429 is not documented and gets the form of the 401."""
        if status == 429:
            return _error(429, "Too many requests")
        data = {"error": "Database connection failed"}
        return json_reply(status, {"status": "failed", "message": "Failed to generate auth token", "data": data})

    def _signature_problem(self, request: Request) -> str | None:
        signature, timestamp = request.headers.get("x-signature", ""), request.headers.get("x-timestamp", "")
        secret = self.credentials["client_secret"]
        fresh = _DIGITS.fullmatch(timestamp) and abs(self._clock.now() - int(timestamp)) <= WINDOW_SECONDS
        if not (signature and fresh and secret):
            return "Missing required signature headers or secret"
        # The body as received, or the query of a GET, and no separator between the parts.
        payload = _sorted_query(request.query) if request.method == "GET" else request.body
        message = f"{request.method}{request.path}{timestamp}".encode() + payload
        expected = hmac.digest(secret.encode(), message, hashlib.sha256).hex()
        return None if hmac.compare_digest(signature.encode(), expected.encode()) else "Invalid signature"

    def _generate(self, request: Request, body: dict[str, Any]) -> Reply:
        now = self._clock.now()
        life = self._life or body.get("expiration", DEFAULT_MINUTES) * 60
        user, is_new = self._database.upsert(
            client_id=body["clientId"], username=body["username"], name=body["displayName"], now=now
        )
        token = self._database.add_token(user, ip_address=body["ipAddress"], expires_at=now + life)
        end = datetime.fromtimestamp(now + life, UTC).isoformat(timespec="milliseconds")
        data = {
            "token": token,
            "expiration": end.replace("+00:00", "Z"),
            "expiresIn": ceil(life),
            "loginLink": f"http://{request.headers['host']}{LOGIN}{token}",
            "user": _user(user),
            "isNewUser": is_new,
        }
        return json_reply(200, {"status": "success", "message": "Auth token generated successfully", "data": data})

    def _log_in(self, request: Request) -> Reply:
        if request.method != "GET":  # a link previewer's HEAD must not use the token up
            return _error(405, "Method not allowed")
        user = self._database.consume(request.path.removeprefix(LOGIN), now=self._clock.now())
        if isinstance(user, User):
            return json_reply(200, {"status": "success", "message": "Login successful", "data": {"user": _user(user)}})
        if user == "unknown":
            return _error(404, "Invalid token")
        return _error(410, f"Token {'already used' if user == 'used' else 'expired'}")


def validate(body: dict[str, Any]) -> dict[str, list[str]]:
    """Return the vendor's error texts per field, in the documented order; empty if all fields are valid."""
    errors = {}
    for field, longest in LONGEST.items():
        value = body.get(field)
        if value is None or (isinstance(value, str) and not value.strip()):
            errors[field] = [f"The {field} field is required."]
        elif not isinstance(value, str):
            errors[field] = [f"The {field} must be a string."]
        elif len(value) > longest:
            errors[field] = [f"The {field} may not be greater than {longest} characters."]
    minutes = body.get("expiration", DEFAULT_MINUTES)
    if type(minutes) is not int:
        errors["expiration"] = ["The expiration must be an integer."]
    elif minutes < LEAST_MINUTES:
        errors["expiration"] = [f"The expiration must be at least {LEAST_MINUTES}."]
    elif minutes > MOST_MINUTES:
        errors["expiration"] = [f"The expiration may not be greater than {MOST_MINUTES}."]
    return errors


def _sorted_query(query: str) -> bytes:
    """Return the decoded ``name=value`` pairs of a query, sorted by name and joined by ``&``."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return "&".join(f"{name}={value}" for name, value in sorted(pairs, key=lambda pair: pair[0])).encode()


def _user(user: User) -> dict[str, Any]:
    return {"id": user.id, "username": user.username, "displayId": user.display_id, "displayName": user.name}


def _invalid(errors: dict[str, list[str]]) -> Reply:
    return json_reply(400, {"status": "failed", "message": "Validation failed", "data": {"errors": errors}})


def _error(status: int, message: str) -> Reply:
    return json_reply(status, {"status": "error", "message": message, "data": None})
