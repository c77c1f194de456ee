"""Progress of an exchange: whether a byte of the request may have left for the upstream."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """What is known of one exchange while it is made. ``is_sent``: a byte of the request may have left.

    ``handshakes`` are those of TLS that must come before the request: one for a tunnel through a proxy, and one for the
    proxy itself if it is https. What is written before is for the proxy.
    """

    handshakes: int = 0
    is_sent: bool = False

    @classmethod
    def through(cls, proxy: str | None) -> "Progress":
        """Return the progress of an exchange that begins, through a proxy's URL or directly."""
        return cls(0 if proxy is None else 2 if proxy.startswith("https:") else 1)

    def wrote(self) -> None:
        """Note that bytes are about to be written to the connection."""
        self.is_sent = self.is_sent or self.handshakes <= 0

    def shook_hands(self) -> None:
        """Note that a handshake of TLS was made."""
        self.handshakes -= 1


# Of the exchange that the present task makes.
PROGRESS: ContextVar[Progress | None] = ContextVar("PROGRESS", default=None)
