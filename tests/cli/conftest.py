"""Daemons that these tests share."""

from tests.cli.login.logging_in import logins
from tests.cli.one_provider import own
from tests.cli.running import running

__all__ = ["logins", "own", "running"]
