"""Kind ``json``: a file with the native object, or with the object that Trading Technologies' Python package reads."""

from datetime import datetime, timedelta
from typing import Literal

import orjson

from tokend.sinks.files.base import FileSink
from tokend.values.tokens import JSON, Lease, Token, native

SECOND = timedelta(seconds=1)


class JsonSink(FileSink):
    """A file with one line of JSON and a final newline."""

    kind: Literal["json"] = "json"
    layout: Literal["native", "tt"] = "native"

    def render(self, lease: Lease) -> bytes:
        """Return the JSON object in the configured layout."""
        return orjson.dumps(_tt(lease) if self.layout == "tt" else native(lease)) + b"\n"


def _tt(lease: Lease) -> dict[str, JSON]:
    """Return the object of ``tt_token.json`` (docs/vendors.md, tt), for both generations of the vendor's package.

    ``seconds_until_expiry`` is the token's whole lifetime, and its newer name has the same value. Readers add it to
    ``acquisition_time``, a naive *local* time, and compare the sum with their naive local time.
    """
    token = lease.token
    # Of wall times, because the reader adds them up again. The boot times are floats: rounding would lose a second.
    life = None if token.expires_at is None else (token.expires_at.wall - token.issued_at.wall) // SECOND
    return {
        "status": "Ok",
        "access_token": token.value.reveal(),
        "token_type": token.token_type,
        "seconds_until_expiry": life,
        "seconds_until_expiry_on_save": life,
        "acquisition_time": _acquired(token, life).isoformat(),
    }


def _acquired(token: Token, life: int | None) -> datetime:
    """Return the naive local time that gives the naive local time of the expiry when ``life`` seconds are added.

    It is the time of the request, except where the clocks are changed before the expiry: then the sum has to be right.
    """
    if token.expires_at is None or life is None:
        return token.issued_at.wall.astimezone().replace(tzinfo=None)
    return token.expires_at.wall.astimezone().replace(tzinfo=None) - life * SECOND
