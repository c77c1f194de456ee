"""Check of the tokens that kinds return: a token that no header can carry is neither kept nor served."""

import re
from collections.abc import Mapping
from typing import Any

from tokend.values.errors import TransientError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Token

# Visible ASCII without outer spaces (RFC 6749, A.12; see `response_status.token_value`).
_VALUE = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_TEXT = re.compile(r"[\x20-\x7e]*", re.ASCII)


def check_token(token: object) -> None:
    """Raise `TransientError` if ``token`` is no `Token`, or one that cannot be sent. The message quotes no value."""
    if (fault := _fault(token)) is not None:
        raise TransientError(f"the kind made an unusable token: {fault}")


def _fault(token: object) -> str | None:
    if not isinstance(token, Token):
        return f"it is of the type {type(token).__name__}, a Token is expected"
    made: Any = token  # a kind of another package may have set members of any type
    if not isinstance(made.value, Secret):
        return f"its value is of the type {type(made.value).__name__}, a Secret is expected"
    if not made.value:
        return "its value is empty"
    if not _is_sendable(made.value):
        return "its value holds control or non-ASCII characters, or begins or ends with a space"
    if not isinstance(made.token_type, str) or not _TEXT.fullmatch(made.token_type):
        return "its token_type is no line of ASCII text"
    if not isinstance(made.issued_at, Instant) or not isinstance(made.expires_at, Instant | None):
        return "issued_at or expires_at is no Instant"
    headers = made.headers.items() if isinstance(made.headers, Mapping) else [(None, None)]
    if not all(isinstance(name, str) and isinstance(one, Secret) and _is_sendable(one) for name, one in headers):
        return "its headers are not names with a Secret of visible ASCII each"
    return None


def _is_sendable(value: Secret) -> bool:
    raw: object = value.reveal_bytes()
    return isinstance(raw, bytes) and _VALUE.fullmatch(raw) is not None
