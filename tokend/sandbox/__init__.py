"""Sandbox: a real HTTP server on loopback that plays all vendors, with faults on request.

The sandbox imports nothing else of tokend, on purpose: its code for signatures and tokens is an independent check of
tokend's. `start` runs it in the process of a test; ``tokend sandbox`` and ``python -m tokend.sandbox`` run it alone.
"""

from tokend.sandbox.options import Options
from tokend.sandbox.server import Sandbox, start

__all__ = ["Options", "Sandbox", "start"]
