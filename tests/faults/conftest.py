"""A home per test, as the tests of the daemon have it."""

from tests.daemon.conftest import home, make_home

__all__ = ["home", "make_home"]
