"""The socket with hand-made logins, for every test here."""

from tests.cli.login.logging_in import logins

__all__ = ["logins"]
