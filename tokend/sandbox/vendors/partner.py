"""Partner API: one protected endpoint, which checks JWTs that the caller signed with a shared secret."""

from collections.abc import Mapping
from typing import ClassVar

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.hs256 import BadTokenError, verify
from tokend.sandbox.messages import Reply, Request, http_status, json_reply
from tokend.sandbox.options import Options

PORTFOLIO = "/portfolio"


class Partner:
    """Partner API by the rules of jsonwebtoken: ``now >= exp`` is expired, and a future ``iat`` is ignored."""

    name = "partner"
    paths: ClassVar[tuple[str, ...]] = (f"GET {PORTFOLIO}",)

    def __init__(self, options: Options, clock: SandboxClock) -> None:
        self.credentials: Mapping[str, str] = {"client_id": options.partner_client_id, "secret": options.partner_secret}
        self._longest_life = options.partner_ttl
        self._clock = clock

    def route(self, path: str) -> str | None:
        """Accept the path of the portfolio."""
        return path if path == PORTFOLIO else None

    def answer(self, request: Request) -> Reply:
        """Return the portfolio for a valid token; for any other token 401 with the reason."""
        if request.method != "GET":
            return json_reply(405, {"error": "Method Not Allowed"}, headers={"Allow": "GET"})
        token = request.bearer
        if token is None:
            return _unauthorized("Unauthorized")
        problem = self._problem(token)
        if problem:
            return _unauthorized(problem)
        portfolio = {
            "clientId": self.credentials["client_id"],
            "positions": [{"symbol": "BTC", "quantity": "0.001"}],
            "currency": "USD",
        }
        return json_reply(200, portfolio)

    def refusal(self, request: Request, code: int | str | None) -> Reply:  # noqa: ARG002  (the Protocol's signature)
        """Answer 401, or the HTTP status in ``code``."""
        return _unauthorized("Invalid Token", status=http_status(code, 401))

    def failure(self, status: int) -> Reply:
        """Answer with a short JSON error."""
        return json_reply(status, {"error": "Too Many Requests" if status == 429 else "Internal Server Error"})

    def _problem(self, token: str) -> str | None:
        account = self.credentials
        try:
            claims = verify(token, account["secret"].encode())
        except BadTokenError:
            return "Invalid Token"
        issued, expires = claims.get("iat"), claims.get("exp")
        if type(issued) is not int or type(expires) is not int or claims.get("clientId") != account["client_id"]:
            return "Invalid Token"
        if self._longest_life is not None and expires - issued > self._longest_life:
            return "Invalid Token"
        return "Token Expired" if int(self._clock.now()) >= expires else None


def _unauthorized(message: str, *, status: int = 401) -> Reply:
    return json_reply(status, {"error": "Unauthorized", "message": message})
