"""``json``: the native object, or the one that Trading Technologies' own Python package reads."""

from typing import Literal

import orjson

from tokend.sinks.file import FileSink
from tokend.tokens import JSON, Lease, native


class JsonSink(FileSink):
    """One line of JSON, newline at the end."""

    kind: Literal["json"] = "json"
    layout: Literal["native", "tt"] = "native"

    def render(self, lease: Lease) -> bytes:
        """The object of the layout."""
        return orjson.dumps(_tt(lease) if self.layout == "tt" else native(lease)) + b"\n"


def _tt(lease: Lease) -> dict[str, JSON]:
    """``tt_token.json`` (docs/vendors.md, tt): the life as issued, from a naive *local* time of the request."""
    token = lease.token
    life = token.life_seconds
    return {
        "status": "Ok",
        "access_token": token.value.reveal(),
        "token_type": token.token_type,
        "seconds_until_expiry": None if life is None else int(life),
        "acquisition_time": token.issued_at.wall.astimezone().replace(tzinfo=None).isoformat(),
    }
