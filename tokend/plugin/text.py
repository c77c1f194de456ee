"""Checks of secrets and callers' parameters as text for a body, a claim or a header.

Errors name the secret, never its content.
"""

import re

from tokend.values.errors import SecretError
from tokend.values.secret import Secret

# RFC 9110, 5.5, without the obsolete bytes above ASCII: a value that every server and reader of `headers` accepts.
_HEADER = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", re.ASCII)


def text_of(secret: Secret, name: str) -> str:
    """Return the secret as text for a body or a claim. Raises `SecretError` if it is not UTF-8; ``name`` is its key."""
    try:
        return secret.reveal()
    except ValueError:
        raise SecretError(f"{name} is not UTF-8 text: is its encoding right?") from None


def header_text(secret: Secret, name: str) -> str:
    """Return the secret as a header's value; ``name`` is its key.

    Raises `SecretError` for control characters (line ends included), non-ASCII characters and outer spaces.
    """
    text = text_of(secret, name)
    if not fits_header(text):
        raise SecretError(f"{name} cannot be sent in a header: it is not one line of ASCII without outer spaces")
    return text


def fits_header(value: str) -> bool:
    """Return whether a header can carry a text: one line of ASCII without outer spaces, not empty."""
    return _HEADER.fullmatch(value) is not None


def is_text(value: str) -> bool:
    """Return whether a string can be encoded as UTF-8. A lone surrogate (``"\\ud800"`` in JSON) cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
