"""Fixtures shared with another folder."""

from tests.daemon.conftest import home, make_home

__all__ = ["home", "make_home"]
