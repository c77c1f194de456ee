"""Fixtures shared with another folder."""

from tests.api.conftest import running

__all__ = ["running"]
