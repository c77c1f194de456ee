"""A vendor's clock that is an hour off: `tokend status` says so."""

import time
from email.utils import formatdate

from tests.cli.running import ONE_LOGIN, daemon, short_directory, write_config
from tests.small_server import QuietHandler, serving


class Ahead(QuietHandler):
    """An upstream whose clock is an hour ahead."""

    def post(self) -> None:
        self.reply(200, {"success": True, "token": "fake-token", "expiresIn": 600})

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the value of the Date header."""
        return formatdate(time.time() + 3600, usegmt=True)


def test_status_says_that_the_vendors_clock_is_an_hour_ahead() -> None:
    """In words and as a warning of the row; the token is valid all the same."""
    with (
        short_directory() as directory,
        serving(Ahead) as url,
        daemon(write_config(directory, ONE_LOGIN, url=url)) as running,
    ):
        row = running.becomes("one", "valid")
        (warning,) = [one for one in row["warnings"] if one["code"] == "upstream_clock"]
        host = url.removeprefix("http://")
        assert warning["message"].startswith(f"the clock of {host} is 1 h ahead of this machine's")
        assert f"the clock of {host} is 1 h ahead" in running.tokend("status", "one").out
