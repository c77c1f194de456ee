"""A cookie of a reply: one ``Set-Cookie`` header (RFC 6265, 5.2)."""

import re
from datetime import datetime

from tokend.plugin.http_date import http_date

_AT_ONCE = re.compile(r"0+|-[0-9]+", re.ASCII)


class Cookie:
    """The name and value of a cookie, where it counts, and its end. Any text is a cookie; its value may be empty."""

    __slots__ = ("_expires", "_max_age", "has_path", "name", "place", "value")

    def __init__(self, header: str) -> None:
        pair, *attributes = header.split(";")
        name, _, value = pair.partition("=")
        self.name, self.value = name.strip(), value.strip()
        # Of attributes of one name the last one counts.
        known = {key.strip().lower(): text.strip() for key, _, text in (one.partition("=") for one in attributes)}
        self._max_age, self._expires = known.get("max-age"), known.get("expires")
        self.has_path = bool(known.get("path"))
        # A cookie replaces another one of the same name and place.
        self.place = (known.get("path", ""), known.get("domain", "").lower().removeprefix("."))

    def has_ended(self, now: datetime) -> bool:
        """Return whether the header deletes the cookie: a ``Max-Age`` of 0 or less, else an ``Expires`` of the past."""
        if self._max_age is not None and re.fullmatch(r"-?[0-9]+", self._max_age, re.ASCII):
            return _AT_ONCE.fullmatch(self._max_age) is not None
        ends = None if self._expires is None else http_date(self._expires)
        return ends is not None and ends <= now
