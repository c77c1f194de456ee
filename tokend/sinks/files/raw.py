"""``raw``: exactly the token."""

from typing import Literal

from tokend.sinks.files.base import FileSink
from tokend.values.tokens import Lease


class RawSink(FileSink):
    """The token and nothing else; ``newline = true`` adds one."""

    kind: Literal["raw"] = "raw"
    newline: bool = False

    def render(self, lease: Lease) -> bytes:
        """Give the token's bytes."""
        return lease.token.value.reveal_bytes() + (b"\n" if self.newline else b"")
