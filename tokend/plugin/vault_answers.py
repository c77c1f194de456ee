"""Meaning of what Vault and OpenBao answer: known phrases of their errors, and the content of a secret.

Source: the API documentation of KV version 1 and 2, of ``auth/token/lookup-self``, and of the HTTP statuses.
"""

import json
from typing import Any

from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.strict_json import try_object
from tokend.values.errors import SecretError

CONFLICT = "check-and-set parameter did not match"
# Phrases of a server's errors that are known, each with what may be shown for it.
WORDS = {
    CONFLICT: "the version is another",
    "check-and-set parameter required": "it demands cas: the policy must allow read on the metadata",
    "no handler for route": "no engine is mounted there",
    "unsupported path": "the engine has no such path: is kv_version right?",
    "unsupported operation": "the engine knows no such operation",
    "sealed": "it is sealed",
}
# Whether the server knows a credential: it answers 403 for an ended token and for a missing right.
LOOKUP = "auth/token/lookup-self"
# Standbys, for disaster recovery and for performance: another node must be asked.
STANDBY = frozenset({472, 473})


def word_of(reply: UpstreamReply) -> str | None:
    """Return what a server's error says, if it is a known phrase."""
    errors = (try_object(reply.body) or {}).get("errors")
    said = [one for one in errors if isinstance(one, str)] if isinstance(errors, list) else []
    return next((word for phrase, word in WORDS.items() if any(phrase in one for one in said)), None)


def content_of(source: SecretSource, reply: UpstreamReply, kv_version: int) -> bytes:
    """Return the content of a secret's field; without ``field`` all fields, as JSON. Raises `SecretError`.

    A field that is no text is JSON, too: ``select`` finds the secret in it.
    """
    if reply.status != 200:
        raise SecretError(f"{source}: {_refusal(reply)}")
    data = (try_object(reply.body) or {}).get("data")
    if kv_version == 2 and isinstance(data, dict):
        data = data.get("data", data)
    if not isinstance(data, dict):
        raise SecretError(
            f"{source}: the server answered 200 without data: is it Vault or OpenBao, and kv_version right?"
        )
    if source.field is None:
        return json.dumps(data, ensure_ascii=False).encode()
    if source.field not in data:
        raise SecretError(f"{source}: the secret has no such field")
    return _bytes_of(source, data[source.field])


def _bytes_of(source: SecretSource, value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if source.select is None and (value is None or isinstance(value, bool | list | dict)):
        raise SecretError(f"{source}: the field is neither a text nor a number: select takes a part of it")
    return json.dumps(value, ensure_ascii=False).encode()


def _refusal(reply: UpstreamReply) -> str:
    """Return what a status other than 200 means."""
    word = word_of(reply)
    said = f"the server answered {reply.status}" + ("" if word is None else f" ({word})")
    if reply.status == 404:
        return f"{said}: {_absence(reply)}"
    if reply.status in STANDBY:
        return f"{said}: it is a standby: name an active node in address"
    if 300 <= reply.status < 400:
        return f"{said}: redirects are refused: name an active node in address"
    if reply.status == 429:
        return f"{said}: too many requests"
    return said


def _absence(reply: UpstreamReply) -> str:
    body = try_object(reply.body) or {}
    if isinstance(data := body.get("data"), dict) and isinstance(data.get("metadata"), dict):
        return "the current version of the secret is deleted or destroyed"
    # An engine of version 2 warns about a path of version 1.
    if not body or body.get("errors") or body.get("warnings"):
        return "is there such a namespace, and an engine of that kv_version at mount?"
    return "there is no secret at this path, or the engine is of another kv_version"
