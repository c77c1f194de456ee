"""A Secret of Kubernetes: what it holds of ours, and the object that is applied to it."""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokend.values.secret import Secret

# The size of a Secret's values that an API server takes.
LARGEST_BYTES = 1024 * 1024
LONGEST_MANAGER = 128
# The part of an annotation's name after the slash.
_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class FoundSecret:
    """What a Secret holds now. Its repr shows no value."""

    version: str
    values: Mapping[str, Secret] = field(repr=False)
    annotations: Mapping[str, str] = field(repr=False)


def found_in(secret: Mapping[str, Any], keys: Iterable[str]) -> FoundSecret:
    """Return our part of an API server's answer. A value that is no Base64 equals none of ours."""
    metadata, data = secret["metadata"], secret.get("data")
    members = data if isinstance(data, dict) else {}
    notes = metadata.get("annotations")
    return FoundSecret(
        metadata["resourceVersion"],
        {key: _decoded(members[key]) for key in keys if key in members},
        {key: text for key, text in notes.items() if isinstance(text, str)} if isinstance(notes, dict) else {},
    )


def _decoded(value: object) -> Secret:
    try:
        return Secret(base64.b64decode(str(value), validate=True))
    except (binascii.Error, ValueError):
        return Secret(f"no Base64: {value}")


def applied(
    name: str,
    namespace: str,
    *,
    version: str | None = None,
    values: Mapping[str, Secret] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> bytes:
    """Return the object to apply: all that this manager wants to own. With ``version`` only on top of that one."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if version is not None:
        metadata["resourceVersion"] = version
    if annotations:
        metadata["annotations"] = dict(annotations)
    made: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    if values:
        made["data"] = {key: base64.b64encode(one.reveal_bytes()).decode() for key, one in values.items()}
    return json.dumps(made).encode()


def annotation(what: str, key: str) -> str:
    """Return the name of the annotation ``writer`` or ``generation`` of a key."""
    name = f"{what}.{key}"
    if len(name) > _LONGEST_NAME or not name[-1].isalnum():
        name = f"{what}.{hashlib.sha256(key.encode()).hexdigest()[:32]}"
    return f"tokend/{name}"


def default_manager(first_key: str) -> str:
    """Return the field manager of a sink: it depends on the target alone."""
    name = f"tokend.{first_key}"
    if len(name) > LONGEST_MANAGER:
        digest = hashlib.sha256(first_key.encode()).hexdigest()[:16]
        name = f"{name[: LONGEST_MANAGER - len(digest) - 1]}-{digest}"
    return name
