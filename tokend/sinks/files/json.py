"""Kind ``json``: a file with the native object, or with the object that Trading Technologies' Python package reads."""

from datetime import timedelta
from typing import Literal

import orjson

from tokend.sinks.files.base import FileSink
from tokend.values.tokens import JSON, Lease, native


class JsonSink(FileSink):
    """A file with one line of JSON and a final newline."""

    kind: Literal["json"] = "json"
    layout: Literal["native", "tt"] = "native"

    def render(self, lease: Lease) -> bytes:
        """Return the JSON object in the configured layout."""
        return orjson.dumps(_tt(lease) if self.layout == "tt" else native(lease)) + b"\n"


def _tt(lease: Lease) -> dict[str, JSON]:
    """Return the object of ``tt_token.json`` (docs/vendors.md, tt).

    ``seconds_until_expiry`` is the token's whole lifetime; it counts from ``acquisition_time``, a naive *local* time.
    """
    token = lease.token
    # Of wall times, because the reader adds them up again. The boot times are floats: rounding would lose a second.
    life = None if token.expires_at is None else token.expires_at.wall - token.issued_at.wall
    return {
        "status": "Ok",
        "access_token": token.value.reveal(),
        "token_type": token.token_type,
        "seconds_until_expiry": None if life is None else life // timedelta(seconds=1),
        "acquisition_time": token.issued_at.wall.astimezone().replace(tzinfo=None).isoformat(),
    }
