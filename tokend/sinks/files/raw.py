"""Kind ``raw``: a file with the token and nothing else."""

from typing import Literal

from tokend.sinks.files.base import FileSink
from tokend.values.tokens import Lease


class RawSink(FileSink):
    """A file with the token's bytes. ``newline = true`` adds a final newline."""

    kind: Literal["raw"] = "raw"
    newline: bool = False

    def render(self, lease: Lease) -> bytes:
        """Return the token's bytes, with a newline if configured."""
        return lease.token.value.reveal_bytes() + (b"\n" if self.newline else b"")
