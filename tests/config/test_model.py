"""The key ``listen``: only loopback addresses, and never without a secret."""

from pathlib import Path

import pytest

from tests.config.written import ENVIRON, PARTNER, loaded, only, refused, written
from tokend.config import load
from tokend.config.model import loopback_address
from tokend.kinds import PROVIDERS, SINKS

SECRET = 'listen_secret = { env = "KEY" }\n'


def daemon(listen: str, secret: str = SECRET) -> str:
    return f'[daemon]\nlisten = "{listen}"\n{secret}{PARTNER}'


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("127.8.9.10:1", ("127.8.9.10", 1)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_addresses_of_this_machine_are_accepted(tmp_path: Path, listen: str, address: tuple[str, int]) -> None:
    """127.0.0.0/8 and [::1] are loopback."""
    settings = loaded(written(tmp_path, daemon(listen))).daemon
    assert settings.listen is not None
    assert loopback_address(settings.listen) == address


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "192.168.0.1:9464", "[::]:9464", "::1:9464", "localhost:9464",
    "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:http", ":9464", "9464", "",
    "127.0.0.256:9464", "127.1:9464", "127.0.0.1.example.com:80", "128.0.0.1:80", "127.0.0.1:9464\\n"])  # fmt: skip
def test_any_other_address_is_an_error_at_its_line(tmp_path: Path, listen: str) -> None:
    """A name is refused because another machine may resolve it. An address without a port is refused too."""
    problem = only(refused(written(tmp_path, daemon(listen))))
    assert problem.line == 2
    assert "listen: " in problem.message


def test_without_a_secret_it_is_an_error_that_names_both(tmp_path: Path) -> None:
    """Every user of the machine can connect to a port."""
    problem = only(refused(written(tmp_path, daemon("127.0.0.1:9464", ""))))
    assert "listen needs listen_secret" in problem.message


def test_off_is_the_default(tmp_path: Path) -> None:
    """A secret alone opens no port."""
    assert loaded(written(tmp_path, PARTNER)).daemon.listen is None
    assert loaded(written(tmp_path, "[daemon]\n" + SECRET + PARTNER)).daemon.listen is None


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ('{ file = "missing" }', "listen_secret: file "),
        ('{ file = "./empty" }', "empty is empty"),
        ('{ env = "NOT_SET" }', "listen_secret: environment variable NOT_SET is not set"),
        ('{ command = ["/bin/echo", "x"] }', "listen_secret: it is read at each request"),
        ("{ }", "listen_secret: a secret is exactly one of"),
    ],
)
def test_a_secret_that_cannot_be_used_is_an_error_now(tmp_path: Path, secret: str, message: str) -> None:
    """The checks are those of providers' secrets. A command is refused: every client would run it."""
    written(tmp_path, "\n", name="empty")
    text = daemon("127.0.0.1:9464", f"listen_secret = {secret}\n")
    assert message in refused(written(tmp_path, text))[0].message


def test_a_secret_in_the_configuration_itself_is_warned_about_and_not_shown(tmp_path: Path) -> None:
    """In a file that others can read it is an error."""
    text = daemon("127.0.0.1:9464", 'listen_secret = "obviously-fake-planted-of-32-bytes"\n')
    config = loaded(written(tmp_path, text))
    [warning] = config.warnings
    assert (warning.line, warning.excerpt) == (3, 'listen_secret = "…"')
    assert "planted" not in repr(config)
    problem = only(refused(written(tmp_path, text, mode=0o644)))
    assert "others can read this file" in problem.message
    assert "planted" not in str(problem)


@pytest.mark.parametrize(
    ("secret", "content"),
    [
        ('{ file = "s" }', "obviously-fake, with 31 bytes..\n"),
        ('{ env = "SHORT" }', ""),
        ('{ file = "s", encoding = "hex" }', "00" * 31),
    ],
)
def test_a_short_secret_is_an_error_and_a_start_serves_without_it(tmp_path: Path, secret: str, content: str) -> None:
    """32 bytes at least, counted after decoding: every user of the machine can connect and guess."""
    written(tmp_path, content, name="s")
    environ = {**ENVIRON, "SHORT": "obviously-fake, with 31 bytes.."}
    main = written(tmp_path, daemon("127.0.0.1:9464", f"listen_secret = {secret}\n"))
    problem = only(refused(main, environ=environ))
    assert problem.message.startswith("listen_secret: it has 31 bytes, and at least 32 are needed")
    assert "obviously" not in str(problem)
    started = load(main, providers=PROVIDERS, sinks=SINKS, environ=environ, starting=True)
    assert [warning.message for warning in started.warnings] == [problem.message]
    written(tmp_path, "0" * 64, name="s")
    loaded(main, environ={**environ, "SHORT": "obviously-fake, with 32 bytes..."})


def test_one_wrong_key_hides_no_error_of_another(tmp_path: Path) -> None:
    """Checks of several keys, of secrets and of targets run with the keys that are right."""
    text = (
        '[daemon]\nlisten = "0.0.0.0:1"\nlog_level = "x"\nstate_directory = "state"\nsocket_group = "no-such-group"\n'
        'socket = "s"\nlisten_secret = { file = "./missing" }\n' + PARTNER +
        'sinks = [{ kind = "raw", path = "state/x" }, { kind = "raw", path = "s" }]\n'
    )  # fmt: skip
    assert [(p.line, p.message.split(":")[0]) for p in refused(written(tmp_path, text))] == [
        (2, "listen"),
        (3, "log_level"),
        (5, 'there is no group "no-such-group" on this machine'),
        (7, "listen_secret"),
        (11, f"{tmp_path}/state/x is inside the state directory"),
        (11, f"{tmp_path}/s is tokend's socket"),
    ]


def test_what_two_keys_have_wrong_is_reported_beside_a_wrong_third(tmp_path: Path) -> None:
    """A secret that is wrong itself is no missing secret."""
    text = '[daemon]\nlisten = "127.0.0.1:1"\nlog_level = "x"\n'
    assert [p.message.split(":")[0] for p in refused(written(tmp_path, text))] == [
        "listen needs listen_secret",
        "log_level",
    ]
    assert len(refused(written(tmp_path, text + 'listen_secret = { env = "A", file = "b" }\n'))) == 2


def test_no_token_is_written_over_the_secret(tmp_path: Path) -> None:
    """tokend reads the secret's file."""
    written(tmp_path, "obviously-fake-secret-of-32-bytes", name="secret")
    sink = '[[providers.partner.sinks]]\nkind = "raw"\npath = "secret"\n'
    text = daemon("127.0.0.1:9464", 'listen_secret = { file = "secret" }\n') + sink
    assert "read by tokend (listen_secret)" in only(refused(written(tmp_path, text))).message
