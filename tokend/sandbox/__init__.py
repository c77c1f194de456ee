"""The sandbox: a real HTTP server on loopback that plays all five vendors, faults included.

It imports nothing of tokend, on purpose: it checks signatures and tokens by its own arithmetic and so is a second
opinion on tokend's. `start` serves tests in process; ``python -m tokend.sandbox`` and ``tokend sandbox`` run it alone.
"""

from tokend.sandbox.options import Options
from tokend.sandbox.server import Sandbox, start

__all__ = ["Options", "Sandbox", "start"]
