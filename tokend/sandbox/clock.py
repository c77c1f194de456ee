"""Clock of the sandbox: the host's time, shifted on request, so that a client meets a server with a wrong clock."""

import time


class SandboxClock:
    """Host's time plus ``skew`` seconds (positive is ahead). ``skew`` may change at any time."""

    def __init__(self, skew: float = 0.0) -> None:
        self.skew = skew

    def now(self) -> float:
        """Return Unix seconds."""
        return time.time() + self.skew
