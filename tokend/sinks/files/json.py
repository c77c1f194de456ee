"""``json``: the native object, or the one that Trading Technologies' own Python package reads."""

from datetime import timedelta
from typing import Literal

import orjson

from tokend.sinks.files.base import FileSink
from tokend.values.tokens import JSON, Lease, native


class JsonSink(FileSink):
    """One line of JSON, newline at the end."""

    kind: Literal["json"] = "json"
    layout: Literal["native", "tt"] = "native"

    def render(self, lease: Lease) -> bytes:
        """Make the object of the layout."""
        return orjson.dumps(_tt(lease) if self.layout == "tt" else native(lease)) + b"\n"


def _tt(lease: Lease) -> dict[str, JSON]:
    """``tt_token.json`` (docs/vendors.md, tt): the life as issued, from a naive *local* time of the request."""
    token = lease.token
    # Between the two times of day, as its reader adds them up; the boot line's floats would lose a second.
    life = None if token.expires_at is None else token.expires_at.wall - token.issued_at.wall
    return {
        "status": "Ok",
        "access_token": token.value.reveal(),
        "token_type": token.token_type,
        "seconds_until_expiry": None if life is None else life // timedelta(seconds=1),
        "acquisition_time": token.issued_at.wall.astimezone().replace(tzinfo=None).isoformat(),
    }
