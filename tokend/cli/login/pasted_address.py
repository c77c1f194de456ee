"""The address in what a person has pasted, also with text around it, or broken into lines by a terminal."""

import re

# Of URLs, RFC 3986. Quotes and angle brackets are around an address, not in it.
_ADDRESS = re.compile(r"https?://[^\s<>\"'`]+", re.IGNORECASE)
_QUERY = re.compile(r"\??(?:[A-Za-z_]+=[^\s&<>\"']*&)*(?:code|error|state)=[^\s<>\"']+")
_IN_LINE = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+", re.ASCII)
# Around what was pasted: ESC [200~ and ESC [201~ of terminals, and invisible characters of web pages and mail programs.
_MARKS = re.compile(r"\x1b\[20[01]~|[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u2028-\u202f\u2060\ufeff]")
_AFTER = ".,;:!)]}"


def find_address(text: str, redirect_uri: str) -> str | None:
    """Return the address at which a browser has ended, from a text; None if there is none.

    Of several addresses the one that begins with ``redirect_uri`` counts, else the last one with a query. A query alone
    is an address at ``redirect_uri``.
    """
    text = _joined(_MARKS.sub("", text))
    found = [match.group().rstrip(_AFTER) for match in _ADDRESS.finditer(text)]
    start = redirect_uri.partition("?")[0]
    candidates = [one for one in found if one.startswith(start) and "?" in one] or [one for one in found if "?" in one]
    if candidates:
        return candidates[-1]
    if found or (query := _QUERY.search(text)) is None:
        return None
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{query.group().lstrip('?')}"


def _joined(text: str) -> str:
    """Join lines that go on with the address of the line before."""
    joined: list[str] = []
    for line in (one.strip() for one in text.splitlines()):
        before = joined[-1] if joined else ""
        goes_on = "://" in before and " " not in before[before.rindex("://") :] and "://" not in line
        if goes_on and _IN_LINE.fullmatch(line):
            joined[-1] = before + line
        elif line:
            joined.append(line)
    return "\n".join(joined)
