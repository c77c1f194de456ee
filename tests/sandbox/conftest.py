"""Sandboxes that these tests start."""

from tests.sandbox.player import play

__all__ = ["play"]
