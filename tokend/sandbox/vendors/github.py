"""GitHub, as its Apps see it: an installation is found by its account, and gives tokens for a JWT that the App signed.

``GET /github/private-key.pem`` is the sandbox's own: the key that the App of the sandbox signs with.
"""

import re
import secrets
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.jwt_parts import BadTokenError
from tokend.sandbox.messages import Reply, Request, http_status, json_reply
from tokend.sandbox.options import Options
from tokend.sandbox.rs256 import private_key_pem, verify

KEY = "/github/private-key.pem"
REPOSITORIES = "/installation/repositories"
LONGEST_JWT_SECONDS = 600
LIFE_SECONDS = 3600.0
MOST_TOKENS = 10_000  # the oldest is dropped first
# What the installation has, and may give to a token.
PERMISSIONS: Mapping[str, str] = {"contents": "write", "issues": "write", "metadata": "read"}
NAMES = ("app", "docs")
_LEVELS = ("read", "write", "admin")
_TOKENS = re.compile(r"/app/installations/([0-9]{1,19})/access_tokens")
_ACCOUNT = re.compile(r"/(?:orgs|users)/([A-Za-z0-9_-]{1,100})/installation")
_MESSAGES = {429: "API rate limit exceeded", 503: "Service Unavailable"}


class GitHub:
    """GitHub with one App, one installation and two repositories."""

    name = "github"

    def __init__(self, options: Options, clock: SandboxClock) -> None:
        self.credentials: Mapping[str, str] = {
            "client_id": options.github_client_id,
            "installation": options.github_installation,
            "owner": options.github_owner,
        }
        self._life = options.github_ttl or options.ttl or LIFE_SECONDS
        self._clock = clock
        self._lock = threading.Lock()
        # {token: end in Unix seconds, names of its repositories}
        self._issued: dict[str, tuple[float, tuple[str, ...]]] = {}

    paths: ClassVar[tuple[str, ...]] = (
        "POST /app/installations/1/access_tokens",
        "GET /orgs/sandbox-org/installation",
        "GET /users/sandbox-org/installation",
        f"GET {REPOSITORIES}",
        f"GET {KEY}",
    )

    def route(self, path: str) -> str | None:
        """Accept the paths of an App and of its tokens. None holds a secret."""
        return path if _TOKENS.fullmatch(path) or _ACCOUNT.fullmatch(path) or path in (REPOSITORIES, KEY) else None

    def answer(self, request: Request) -> Reply:
        """Answer one request."""
        wanted = "POST" if _TOKENS.fullmatch(request.path) else "GET"
        if request.method != wanted:
            return _error(405, "Method Not Allowed", headers={"Allow": wanted})
        if request.path == KEY:
            return Reply(200, private_key_pem().encode(), "application/x-pem-file")
        if request.path == REPOSITORIES:
            return self._repositories(request)
        if (problem := self._problem(request.bearer or "")) is not None:
            return _error(401, problem)
        if account := _ACCOUNT.fullmatch(request.path):
            return self._installation(account[1])
        return self._token(request)

    def refusal(self, request: Request, code: int | str | None) -> Reply:  # noqa: ARG002  (the Protocol's signature)
        """Answer 401, or the HTTP status in ``code``."""
        status = http_status(code, 401)
        return _error(status, "A JSON web token could not be decoded" if status == 401 else "Forbidden")

    def failure(self, status: int) -> Reply:
        """Answer with the usual body for an HTTP status."""
        return _error(status, _MESSAGES.get(status, "Server Error"))

    def _problem(self, token: str) -> str | None:
        """Return what is wrong with the JWT of a request, in GitHub's words; None for a good one."""
        try:
            claims, now = verify(token).claims, self._clock.now()
        except BadTokenError:
            return "A JSON web token could not be decoded"
        issued, expires = claims.get("iat"), claims.get("exp")
        if type(issued) is not int or issued > now:
            return "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
        if type(expires) is not int or expires <= now:
            return "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"  # noqa: E501
        if expires > now + LONGEST_JWT_SECONDS:
            return "'Expiration time' claim ('exp') is too far in the future"
        if claims.get("iss") != self.credentials["client_id"]:
            return "Integration not found"
        return None

    def _installation(self, account: str) -> Reply:
        if account.lower() != self.credentials["owner"].lower():
            return _error(404, "Not Found")
        owner = {"login": self.credentials["owner"], "type": "Organization"}
        number = int(self.credentials["installation"])
        return json_reply(200, {"id": number, "account": owner, "permissions": PERMISSIONS, "suspended_at": None})

    def _token(self, request: Request) -> Reply:
        if request.path.split("/")[3] != self.credentials["installation"]:
            return _error(404, "Not Found")
        asked = request.json_object() if request.body else {}
        if asked is None:
            return _error(400, "Problems parsing JSON")
        permissions = asked.get("permissions") or dict(PERMISSIONS)
        if not isinstance(permissions, dict) or not all(_is_granted(*one) for one in permissions.items()):
            return _error(422, "The permissions requested are not granted to this installation.")
        names = asked.get("repositories") or list(NAMES)
        if not isinstance(names, list) or not set(map(str, names)) <= set(NAMES):
            return _error(422, "There is at least one repository that does not exist or is not accessible to the "
                               "parent installation.")  # fmt: skip
        return self._issue({"metadata": "read", **permissions}, names, is_selected="repositories" in asked)

    def _issue(self, permissions: dict[str, Any], names: list[str], *, is_selected: bool) -> Reply:
        # As long as GitHub's own, with two dots, and no JWT.
        token = "ghs_" + ".".join(secrets.token_urlsafe(128) for _ in range(3))
        ends = int(self._clock.now() + self._life)
        with self._lock:
            if len(self._issued) >= MOST_TOKENS:
                del self._issued[next(iter(self._issued))]
            self._issued[token] = (ends, tuple(names))
        answer = {
            "token": token,
            "expires_at": datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "permissions": permissions,
            "repository_selection": "selected" if is_selected else "all",
        }
        return json_reply(201, {**answer, "repositories": self._described(names)} if is_selected else answer)

    def _repositories(self, request: Request) -> Reply:
        with self._lock:
            ends, names = self._issued.get(request.bearer or "", (0.0, ()))
        if ends <= self._clock.now():
            return _error(401, "Bad credentials")
        return json_reply(200, {"total_count": len(names), "repositories": self._described(list(names))})

    def _described(self, names: list[str]) -> list[dict[str, str]]:
        return [{"name": name, "full_name": f"{self.credentials['owner']}/{name}"} for name in names]


def _is_granted(name: object, level: object) -> bool:
    given = PERMISSIONS.get(str(name))
    return given is not None and level in _LEVELS and _LEVELS.index(str(level)) <= _LEVELS.index(given)


def _error(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> Reply:
    body = {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
    return json_reply(status, body, headers=headers)
