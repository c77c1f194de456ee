"""Daemons that these tests share."""

from tests.cli.one_provider import own
from tests.cli.running import running

__all__ = ["own", "running"]
