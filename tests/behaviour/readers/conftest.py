"""Fixtures shared with another folder."""

from tests.cli.running import running

__all__ = ["running"]
