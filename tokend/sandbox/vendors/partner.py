"""The partner API: one protected endpoint that checks JWTs which the caller signs with a shared secret."""

from collections.abc import Mapping

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.hs256 import BadTokenError, verify
from tokend.sandbox.messages import Reply, Request, http_status, json_reply
from tokend.sandbox.options import Options

PORTFOLIO = "/portfolio"


class Partner:
    """Play the partner API: jsonwebtoken's rules, so ``now >= exp`` is expired and a future ``iat`` is ignored."""

    name = "partner"

    def __init__(self, options: Options, clock: SandboxClock) -> None:
        self.credentials: Mapping[str, str] = {"client_id": options.partner_client_id, "secret": options.partner_secret}
        self._longest_life = options.partner_ttl
        self._clock = clock

    def route(self, path: str) -> str | None:
        """Own the portfolio."""
        return path if path == PORTFOLIO else None

    def answer(self, request: Request) -> Reply:
        """Show the portfolio to whoever has a good token; 401 says what is wrong with any other."""
        if request.method != "GET":
            return json_reply(405, {"error": "Method Not Allowed"}, headers={"Allow": "GET"})
        token = request.bearer
        if token is None:
            return _unauthorized("Unauthorized")
        problem = self._judge(token)
        if problem:
            return _unauthorized(problem)
        portfolio = {
            "clientId": self.credentials["client_id"],
            "positions": [{"symbol": "BTC", "quantity": "0.001"}],
            "currency": "USD",
        }
        return json_reply(200, portfolio)

    def refusal(self, request: Request, code: int | str | None) -> Reply:  # noqa: ARG002 - the Protocol's shape
        """Refuse with 401, or another HTTP status as the code."""
        return _unauthorized("Invalid Token", status=http_status(code, 401))

    def failure(self, status: int) -> Reply:
        """Fail with a short JSON error."""
        return json_reply(status, {"error": "Too Many Requests" if status == 429 else "Internal Server Error"})

    def _judge(self, token: str) -> str | None:
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
