"""The meaning of an API server's replies: its `Status` objects, and who else owns a field.

Source: the API conventions of Kubernetes ("Response Status Kind"), and its page about server-side apply.
"""

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.shown_text import shown
from tokend.plugin.store_status import refuse_write
from tokend.plugin.strict_json import try_object
from tokend.values.errors import SinkConflictError, SinkError, SinkFinalError, SinkRejectedError

# Reasons of a `Status` that may be shown.
_REASONS = frozenset({
    "Unauthorized", "Forbidden", "NotFound", "AlreadyExists", "Conflict", "Gone", "Invalid", "ServerTimeout", "Timeout",
    "TooManyRequests", "BadRequest", "MethodNotAllowed", "NotAcceptable", "RequestEntityTooLarge",
    "UnsupportedMediaType", "InternalError", "Expired", "ServiceUnavailable",
})  # fmt: skip
_MANAGER = re.compile(r'conflict with "([A-Za-z0-9][A-Za-z0-9 ._:/@-]{0,127})"')
# How many other managers an error names.
_MOST_MANAGERS = 3


def status_of(reply: UpstreamReply) -> Mapping[str, Any]:
    """Return the reply's `Status`; empty if it is none."""
    found = try_object(reply.body) or {}
    return found if found.get("kind") == "Status" else {}


def reason_of(reply: UpstreamReply) -> str | None:
    """Return the `Status`' reason, if it is a known one."""
    reason = status_of(reply).get("reason")
    return reason if isinstance(reason, str) and reason in _REASONS else None


def causes_of(reply: UpstreamReply) -> list[Mapping[str, Any]]:
    """Return the causes that the `Status` names."""
    details = status_of(reply).get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    return [one for one in causes if isinstance(one, dict)] if isinstance(causes, list) else []


def is_absent(reply: UpstreamReply) -> bool:
    """Return whether a 404 is the API server's own: there is no such object."""
    return reply.status == 404 and (not reply.body or bool(status_of(reply)))


def refuse_other_manager(reply: UpstreamReply, target: str) -> None:
    """Raise `SinkConflictError` if a 409 says that others own fields of ours; it names them."""
    owned = [one for one in causes_of(reply) if one.get("reason") == "FieldManagerConflict"]
    if not owned:
        return
    texts = [text for one in owned if isinstance(text := one.get("message"), str)]
    names = dict.fromkeys(shown(found[1]) for text in texts if (found := _MANAGER.search(text)))
    who = ", ".join([*names][:_MOST_MANAGERS]) or "another manager"
    raise SinkConflictError(
        f"{target}: {who} owns what this sink writes; to take it over: tokend sync NAME --take-over, or set "
        "take_over = true"
    )


def refuse(reply: UpstreamReply, target: str, verb: str) -> NoReturn:
    """Raise the `SinkError` for a reply that is no success; ``verb`` is what its request needs."""
    status, reason = reply.status, reason_of(reply)
    said = f"{target}: the API server answered {status}"
    if status == 401:
        raise SinkRejectedError(f"{said}: the credential has expired, or is not known there")
    if status == 403:
        raise SinkRejectedError(f"{said}: the role lacks the verb {verb} on this Secret")
    if status == 404 and reason == "NotFound":
        raise SinkError(f"{said}: there is no such namespace")
    if status == 413:
        raise SinkFinalError(f"{said}: the values are too large")
    if status == 422:
        immutable = any("immutable" in str(one.get("message")) for one in causes_of(reply))
        why = (
            "the Secret is immutable: delete it, and it is made again" if immutable else "it does not take these values"
        )
        raise SinkFinalError(f"{said}: {why}")
    refuse_write(reply, target, word=reason)


def secret_in(reply: UpstreamReply, target: str) -> Mapping[str, Any]:
    """Return the Secret in a reply. Raises `SinkError` if there is none."""
    found = try_object(reply.body) or {}
    metadata = found.get("metadata")
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    if found.get("kind") != "Secret" or not isinstance(version, str) or not version.isalnum():
        raise SinkError(f"{target}: the server answered {reply.status} without a Secret: is it an API server?")
    return found
