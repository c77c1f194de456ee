"""The sandbox's own idea of time: the host's, shifted on request, so that a client meets a skewed server."""

import time


class SandboxClock:
    """Tell the time; ``skew`` (seconds, positive is ahead) may be changed while it runs."""

    def __init__(self, skew: float = 0.0) -> None:
        self.skew = skew

    def now(self) -> float:
        """Unix seconds."""
        return time.time() + self.skew
