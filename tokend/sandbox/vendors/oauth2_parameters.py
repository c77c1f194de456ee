"""Parameters of a request to the OAuth 2 server, and its errors (RFC 6749, sections 3.1, 3.2 and 5.2)."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from tokend.sandbox.messages import Reply, Request, json_reply

NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
FORM = "application/x-www-form-urlencoded"


class OAuthError(Exception):
    """A request is refused. ``code`` is OAuth's word; the description repeats nothing of the request."""

    def __init__(
        self, code: str, description: str = "", *, status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.code, self.description, self.status, self.headers = code, description, status, headers or {}

    def reply(self) -> Reply:
        """Return the answer."""
        body = {"error": self.code, **({"error_description": self.description} if self.description else {})}
        return json_reply(self.status, body, headers={**NOT_STORED, **self.headers})


def parameters(request: Request, encoding: str = "form") -> dict[str, str]:
    """Return the parameters; one without a value counts as absent. Raises `OAuthError` for one that stands twice."""
    if encoding == "json":
        given = request.json_object()
        if given is None or not all(isinstance(value, str) for value in given.values()):
            raise OAuthError("invalid_request", "the body must be a JSON object of strings")
        return {name: value for name, value in given.items() if value}
    if encoding == "query":
        return once(request.query)
    if request.media_type != FORM:
        raise OAuthError("invalid_request", f"the body must be {FORM}")
    try:
        return once(request.body.decode("ascii"))
    except UnicodeDecodeError:
        raise OAuthError("invalid_request", "the body must be percent-encoded") from None


def once(text: str) -> dict[str, str]:
    """Parse a query or a form in which each name stands once."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name in found:
            raise OAuthError("invalid_request", "a parameter stands twice")
        found[name] = value
    return {name: value for name, value in found.items() if value}
