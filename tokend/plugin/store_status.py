"""Meaning of the HTTP status of a store's reply without knowledge of the store."""

from typing import Any, NoReturn

from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.response_status import RATE_LIMITED, retry_after
from tokend.plugin.strict_json import parse_object
from tokend.values.errors import SinkError, SinkRejectedError, SinkUnavailableError, TransientError


def store_object(reply: UpstreamReply, target: str) -> dict[str, Any]:
    """Return the JSON object of a reply, whatever its status and content type. Raises `SinkError`."""
    try:
        return parse_object(reply.body, "the store")
    except TransientError as error:
        raise SinkError(f"{target}: {error.detail}") from None


def refuse_write(reply: UpstreamReply, target: str, *, word: str | None = None) -> NoReturn:
    """Raise the `SinkError` for a reply that confirms nothing.

    ``word`` is the store's own code or reason, from a fixed list of the kind; the reply's body is never quoted.
    """
    status = reply.status
    said = f"{target}: the store answered {status}" + (f" ({word})" if word else "")
    if status in {401, 403}:
        raise SinkRejectedError(f"{said}: the credential is not accepted, or may not do this")
    if status in {RATE_LIMITED, 503}:
        what = "too many requests" if status == RATE_LIMITED else "it is not available"
        raise SinkUnavailableError(f"{said}: {what}", retry_after=retry_after(reply))
    if 300 <= status < 400:
        raise SinkError(f"{said}: redirects are refused, they would carry secrets elsewhere")
    raise SinkError(said)
