"""HashiCorp Vault and OpenBao: three logins, and the life of their tokens. `vault_kv` has the secrets.

An error is ``{"errors": ["…"]}``. The end of a token may be moved by its TTL again and again, up to its maximum.
"""

import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.messages import Reply, Request, http_status, json_reply
from tokend.sandbox.options import Options
from tokend.sandbox.vendors.vault_kv import SecretEngine, errors

DEFAULT_LIFE_SECONDS = 3600.0
DEFAULT_LONGEST_SECONDS = 4 * 3600.0
MOST_TOKENS = 10_000  # the oldest is dropped first
_LOGIN = re.compile(r"/v1/auth/(approle|jwt|kubernetes)/login")
_TOKEN = "/v1/auth/token/"
_INCREMENT = re.compile(r"([0-9]{1,9})s?")
_ERRORS = {429: "rate limit quota exceeded", 503: "Vault is sealed"}


@dataclass(slots=True)
class _Issued:
    """A token: its end now, and the end that it cannot be moved beyond, in Unix seconds."""

    ends: float
    latest: float


class Vault:
    """A server with one role, and an engine for secrets at ``secret/``."""

    name = "vault"
    paths: ClassVar[tuple[str, ...]] = (
        "POST /v1/auth/approle/login",
        "POST /v1/auth/token/renew-self",
        "GET /v1/auth/token/lookup-self",
        "POST /v1/secret/data/app",
        "PATCH /v1/secret/data/app",
        "GET /v1/secret/data/app",
        "GET /v1/secret/metadata/app",
    )

    def __init__(self, options: Options, clock: SandboxClock) -> None:
        self.credentials: Mapping[str, str] = {
            "role_id": options.vault_role_id,
            "secret_id": options.vault_secret_id,
            "role": options.vault_role,
            "jwt": options.vault_jwt,
        }
        self._clock = clock
        self._life = options.vault_ttl or options.ttl or DEFAULT_LIFE_SECONDS
        self._longest = max(options.vault_max_ttl or DEFAULT_LONGEST_SECONDS, self._life)
        self._renewable = not options.vault_batch
        self._lock = threading.Lock()
        self._issued: dict[str, _Issued] = {}
        self._engine = SecretEngine(clock)

    def route(self, path: str) -> str | None:
        """Accept the paths of logins, of tokens and of the KV engine. None holds a secret."""
        if _LOGIN.fullmatch(path) or path in {f"{_TOKEN}renew-self", f"{_TOKEN}lookup-self"}:
            return path
        return path if self._engine.has(path) else None

    def answer(self, request: Request) -> Reply:
        """Answer one request."""
        if login := _LOGIN.fullmatch(request.path):
            return self._login(request, login[1]) if request.method in {"POST", "PUT"} else errors(405)
        token = request.headers.get("x-vault-token") or request.bearer or ""
        with self._lock:
            issued = self._issued.get(token)
        if issued is None or issued.ends <= self._clock.now():
            return errors(403, "permission denied")
        if request.path.endswith("/renew-self"):
            return self._renew(request, token, issued)
        if request.path.endswith("/lookup-self"):
            return json_reply(200, {"data": {"id": token, "ttl": self._left(issued), "renewable": self._renewable}})
        return self._engine.answer(request)

    def refusal(self, request: Request, code: int | str | None) -> Reply:
        """Refuse: a login with 400, as for a wrong role or secret id, anything else with 403."""
        if _LOGIN.fullmatch(request.path):
            return errors(http_status(code, 400), "invalid role or secret ID")
        return errors(http_status(code, 403), "permission denied")

    def failure(self, status: int) -> Reply:
        """Answer with the usual body for an HTTP status."""
        return errors(status, _ERRORS.get(status, "internal error"))

    def _login(self, request: Request, method: str) -> Reply:
        given, own = request.json_object() or {}, self.credentials
        if method == "approle":
            if any(given.get(key) != own[key] for key in ("role_id", "secret_id")):
                return errors(400, "invalid role or secret ID")
        elif given.get("role") != own["role"]:
            return errors(400, f'role "{str(given.get("role"))[:40]}" could not be found')
        elif given.get("jwt") != own["jwt"]:
            if method == "kubernetes":
                return errors(403, "permission denied")
            return errors(400, "error validating token")
        token, now = "hvs." + secrets.token_urlsafe(24), self._clock.now()
        issued = _Issued(now + self._life, now + self._longest)
        with self._lock:
            if len(self._issued) >= MOST_TOKENS:
                del self._issued[next(iter(self._issued))]
            self._issued[token] = issued
        return self._auth(token, issued)

    def _renew(self, request: Request, token: str, issued: _Issued) -> Reply:
        if not self._renewable:
            return errors(400, "lease is not renewable")
        asked = _INCREMENT.fullmatch(str((request.json_object() or {}).get("increment", "")))
        life = float(asked[1]) if asked else self._life
        issued.ends = min(self._clock.now() + life, issued.latest)
        return self._auth(token, issued)

    def _auth(self, token: str, issued: _Issued) -> Reply:
        auth = {
            "client_token": token,
            "policies": ["default"],
            "lease_duration": self._left(issued),
            "renewable": self._renewable,
            "token_type": "service" if self._renewable else "batch",
            "mfa_requirement": None,
        }
        return json_reply(200, {"lease_id": "", "renewable": False, "lease_duration": 0, "data": None, "auth": auth})

    def _left(self, issued: _Issued) -> int:
        return max(1, round(issued.ends - self._clock.now()))
