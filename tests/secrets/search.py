"""Looking for a secret in whatever a program produced: as it is, and in the disguises that programs put on text."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus

# A beginning or an end of this length gives a secret of random characters away.
PIECE = 8


def traces(secrets: Mapping[str, str], data: bytes) -> list[str]:
    """Which of the secrets (by name) are in ``data``, and in which form; never the secret itself."""
    return [
        f"{name} ({form})"
        for name, secret in secrets.items()
        for form, disguised in forms(secret)
        if disguised in data
    ]  # fmt: skip


def forms(secret: str) -> list[tuple[str, bytes]]:
    """Every form in which a secret of printable characters may turn up, each with a name."""
    names: dict[bytes, str] = {}
    for name, form in _forms(secret):
        names.setdefault(form, name)
    return [(name, form) for form, name in names.items()]


def _forms(secret: str) -> Iterator[tuple[str, bytes]]:
    raw = secret.encode()
    yield "plain", raw
    yield "beginning", raw[:PIECE]
    yield "end", raw[-PIECE:]
    yield "reversed", secret[::-1].encode()
    for form, text in {
        "URL": quote(secret, safe=""),
        "form": quote_plus(secret),
        "JSON": json.dumps(secret)[1:-1],
        "repr": repr(secret)[1:-1],
        "escaped": secret.encode("unicode_escape").decode(),
    }.items():
        # With what is escaped in the middle, the beginning and the end are found without it.
        yield form, text.encode()
    for encoding in ("utf-16-le", "utf-16-be"):
        yield encoding, secret.encode(encoding)
    yield "hex", raw.hex().encode()
    yield "HEX", raw.hex().upper().encode()
    yield "hex with colons", raw.hex(":").encode()
    for offset in range(3):
        for name, code in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            yield f"{name}, {offset} bytes in", _inner(code(b"\0" * offset + raw), offset, len(raw))


def _inner(encoded: bytes, offset: int, size: int) -> bytes:
    """The characters that depend on the secret alone, not on what stands before and behind it."""
    first = -(-offset * 8 // 6)
    return encoded[first : (offset + size) * 8 // 6]


JWT = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}")
