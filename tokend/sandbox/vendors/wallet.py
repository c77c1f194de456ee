"""Wallet API: every request has its own JWT, with times in milliseconds and a hash of the payment."""

import hashlib
import json
from collections.abc import Mapping
from typing import ClassVar

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.hs256 import BadTokenError, verify
from tokend.sandbox.messages import Reply, Request, http_status, json_reply
from tokend.sandbox.options import Options

TRANSFER, BALANCE, EXAMPLE = "/api/wallet/transfer", "/api/wallet/balance", "/path/to/endpoint"
SIGNED_FIELDS = ("currency", "amount", "orderId")
# Milliseconds passed this number in 1973; seconds pass it in 5138. A smaller number is seconds.
SMALLEST_MILLISECONDS = 100_000_000_000
# The vendor's sample reads the clock twice, for iat and for exp, and clocks differ a little.
TOLERANCE_MILLISECONDS = 5_000


class Wallet:
    """Wallet API. Its error bodies are not documented: the sandbox's name the broken rule."""

    name = "wallet"
    paths: ClassVar[tuple[str, ...]] = (f"POST {TRANSFER}", f"GET {BALANCE}", f"POST {EXAMPLE}")

    def __init__(self, options: Options, clock: SandboxClock) -> None:
        self.credentials: Mapping[str, str] = {"key": options.wallet_key, "secret": options.wallet_secret}
        self._longest_life = options.wallet_ttl * 1000
        self._clock = clock

    def route(self, path: str) -> str | None:
        """Accept the paths of a transfer, of a balance, and of the vendor's example."""
        return path if path in (TRANSFER, BALANCE, EXAMPLE) else None

    def answer(self, request: Request) -> Reply:
        """Accept a payment, or return a balance, if the JWT is for exactly this request."""
        if request.method != ("GET" if request.path == BALANCE else "POST"):
            return _error(405, "Method not allowed")
        token = request.bearer or request.headers.get("signaturetoken")
        if token is None or "x-auth-key" not in request.headers:
            return _error(401, "Missing token or x-auth-key")
        body = request.json_object(verbatim_numbers=True) if request.body else {}
        if body is None:
            return _error(400, "The body must be a JSON object")
        signed = [body.get(field, "") for field in SIGNED_FIELDS]
        if not all(isinstance(part, str) and "#" not in part for part in signed):
            return _error(400, "currency, amount and orderId must be strings without #")
        if any(signed) and not all(signed):
            return _error(400, "currency, amount and orderId are needed together")
        problem = self._problem(token, request, signed)
        if problem:
            return _error(401, problem)
        if request.path == BALANCE:
            return json_reply(200, {"success": True, "data": {"currency": "BTC", "balance": "1.000"}})
        order = dict(zip(SIGNED_FIELDS, signed, strict=True)) if any(signed) else {}
        return json_reply(200, {"success": True, "message": "Accepted", "data": order})

    def refusal(self, request: Request, code: int | str | None) -> Reply:  # noqa: ARG002  (the Protocol's signature)
        """Answer 401, or the HTTP status in ``code``."""
        return _error(http_status(code, 401), "Invalid token")

    def failure(self, status: int) -> Reply:
        """Answer with a short JSON error."""
        return _error(status, "Too many requests" if status == 429 else "Internal error")

    def _problem(self, token: str, request: Request, signed: list[str]) -> str | None:
        account = self.credentials
        try:
            claims = verify(token, account["secret"].encode())
        except BadTokenError:
            return "Invalid token"
        if request.headers["x-auth-key"] != account["key"] or claims.get("key") != account["key"]:
            return "Invalid auth key"
        if claims.get("url") != request.path:
            return "The url claim is not the path of this request"
        if claims.get("signature") != signature(signed):
            return "Invalid signature"
        return self._time_problem(claims.get("iat"), claims.get("exp"))

    def _time_problem(self, issued: object, expires: object) -> str | None:
        # Usual verifiers read milliseconds as seconds and would accept such a token for ever.
        if type(issued) is not int or type(expires) is not int or min(issued, expires) < SMALLEST_MILLISECONDS:
            return "iat and exp must be whole milliseconds"
        now = int(self._clock.now() * 1000)
        if now >= expires:
            return "Token expired"
        if issued > now + TOLERANCE_MILLISECONDS:
            return "Token issued in the future"
        if not 0 < expires - issued <= self._longest_life + TOLERANCE_MILLISECONDS:
            return "The token lives too long"
        return None


def signature(fields: list[str]) -> str:
    """Hash currency, amount and order id like the vendor's sample: JSON.stringify, so that quotes are hashed, too."""
    text = "#".join(fields) if any(fields) else ""
    # surrogatepass: a lone surrogate must end as a wrong signature, not as an exception.
    return hashlib.sha256(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def _error(status: int, message: str) -> Reply:
    return json_reply(status, {"success": False, "message": message})
