"""The daemon that these tests share."""

from tests.cli.running import running

__all__ = ["running"]
