"""Oddities in a secret's text: traces of an editor, a shell or another file format. Pure.

Such a secret is used as it is, because it may be meant. What is found is described without the text itself.
"""

import re
from collections.abc import Iterator

_UTF_8_MARK = b"\xef\xbb\xbf"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_PEM = b"-----BEGIN "
_QUOTES = (("'", "'"), ('"', '"'), ("`", "`"), ("“", "”"), ("‘", "’"), ("«", "»"))
# A name as in a .env file, with something after the equals sign that is no padding of base64. Passwords may hold an
# equals sign: a name is in upper case, or a usual one.
_ASSIGNMENT = re.compile(
    r"(?:export[ \t]+\w+|[A-Z][A-Z0-9_]{2,}|[\w.-]*(?i:secret|token|key|passw|pwd)[\w.-]*)"
    r"[ \t]*(?:=[ \t]*[^=\s]|:[ \t]+\S)"
)
_COMMENT = re.compile(r"^[ \t]*#|[ \t]#[ \t]", re.MULTILINE)
# Characters that no editor shows: no-break space, soft hyphen, zero-width and directional marks, a mark in the middle.
_INVISIBLE = re.compile("[\u00a0\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def oddities(raw: bytes) -> tuple[str, ...]:
    """Describe what is odd in a secret as it stands at its place, before one trailing newline is stripped."""
    if raw.startswith(_UTF_16_MARKS):
        return ("is UTF-16 (save it as UTF-8)",)
    has_mark = raw.startswith(_UTF_8_MARK)
    found = ["begins with a byte order mark"] if has_mark else []
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        return tuple(found)  # a key of random bytes: anything may be meant
    if _PEM not in raw:
        found += _of_text(text)
    return tuple(found)


def _of_text(text: str) -> Iterator[str]:
    body = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    core = body.strip()
    if body != (ended := body.rstrip()):
        yield "ends in more than one newline" if set(body[len(ended) :]) <= {"\r", "\n"} else "ends in white space"
    if body != body.lstrip():
        yield "begins with white space"
    if len(core) > 1 and any(core[0] == first and core[-1] == last for first, last in _QUOTES):
        yield "stands in quotes"
    lines = core.splitlines()
    if any(map(_ASSIGNMENT.match, lines)):
        yield "looks like KEY=value"
    if _COMMENT.search(core):
        yield "holds a comment (#)"
    if len(lines) > 1 and not (core[0] == "{" and core[-1] == "}"):  # an object of JSON may have lines
        yield "has several lines"
    if _CONTROL.search(core):
        yield "holds control characters"
    if _INVISIBLE.search(core):
        yield "holds invisible characters"
