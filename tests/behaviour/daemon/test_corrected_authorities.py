"""A file of certificate authorities that is corrected in place is noticed: nobody waits for the backoff."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import trustme

from tests.cli.running import ONE_LOGIN, daemon, eventually, short_directory, write_config
from tests.small_server import QuietHandler, serving

CONFIG = ONE_LOGIN + 'ca_file = "ca.pem"\n'


class Login(QuietHandler):
    """Gives everybody a token."""

    def post(self) -> None:
        self.reply(200, {"success": True, "token": "fake-token", "expiresIn": 60})


def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def test_an_authority_that_is_replaced_in_its_file_ends_the_backoff(tmp_path: Path) -> None:
    """The configuration stays as it is; the file is watched like a secret."""
    wrong, right = trustme.CA(), trustme.CA()
    with short_directory() as directory, serving(Login, tls(right)) as url:
        wrong.cert_pem.write_to_path(str(directory / "ca.pem"))
        with daemon(write_config(directory, CONFIG, url=url)) as running:
            assert eventually(lambda: running.row("one")["failures"] >= 3)
            assert "not trusted" in running.row("one")["last_error"]["detail"]
            planned = running.row("one")["next_attempt_at"]
            right.cert_pem.write_to_path(str(tmp_path / "new.pem"))
            (tmp_path / "new.pem").rename(directory / "ca.pem")
            assert eventually(lambda: running.row("one")["valid"])
            assert datetime.now(UTC) < datetime.fromisoformat(planned)
