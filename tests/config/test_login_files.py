"""Login files in a configuration: places, keys, and who has which."""

from pathlib import Path

import pytest

from tests.config.written import loaded, only, refused, written
from tests.files.children import STRANGER, needs_root

OAUTH2 = """
[providers.{name}]
kind = "oauth2"
grant = "{grant}"
token_url = "https://login.example/token"
client_id = "fake-client"
{keys}
"""


def config(directory: Path, keys: str, *, grant: str = "refresh_token", more: str = "") -> Path:
    directory.chmod(0o700)
    return written(directory, more + OAUTH2.format(name="mine", grant=grant, keys=keys))


def test_a_file_that_does_not_exist_yet_is_fine(tmp_path: Path) -> None:
    """It is made by the first login. The path is relative to the configuration's directory."""
    config_ = loaded(config(tmp_path, 'login_file = "./login"'))
    assert config_.providers["mine"].settings.login_file == tmp_path / "login"  # type: ignore[attr-defined]  # of oauth2
    assert config_.warnings == ()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.symlink_to("elsewhere"), "it is a link"),
        (lambda path: path.mkdir(), "no regular file"),
        (lambda path: path.write_text("") and path.chmod(0o644), "chmod 600"),
        (lambda path: path.touch(mode=0o640), "chmod 600"),
    ],
    ids=range(4),
)
def test_a_file_that_others_decide_is_an_error_of_a_check_and_a_warning_of_a_start(
    tmp_path: Path, spoil: object, words: str
) -> None:
    """A start goes on: the provider waits."""
    spoil(tmp_path / "login")  # type: ignore[operator]  # one of the functions above
    if words == "chmod 600":
        (tmp_path / "login").chmod(0o640)
    path = config(tmp_path, 'login_file = "./login"')
    problem = next(one for one in refused(path) if words in one.message)
    assert problem.where == ("providers", "mine", "login_file")
    assert any(words in one.message for one in loaded(path, starting=True).warnings)


def test_a_strangers_file_is_an_error(tmp_path: Path) -> None:
    """Daemons of one user share it."""
    needs_root()
    import os

    (tmp_path / "login").touch(mode=0o600)
    os.chown(tmp_path / "login", STRANGER, STRANGER)
    assert any("belongs to" in one.message for one in refused(config(tmp_path, 'login_file = "./login"')))


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    """It says which one to make."""
    problem = only(refused(config(tmp_path, 'login_file = "./missing/login"')))
    assert f"there is no directory {tmp_path}/missing" in problem.message


def test_two_providers_of_one_configuration_have_two_files(tmp_path: Path) -> None:
    """However the path is spelled: a login is one provider's in each daemon."""
    (tmp_path / "there").symlink_to(".")
    other = OAUTH2.format(name="first", grant="refresh_token", keys='login_file = "./there/login"')
    problem = only(refused(config(tmp_path, 'login_file = "./login"', more=other)))
    assert "first keeps its login in" in problem.message


def test_a_file_in_the_state_directory_is_an_error(tmp_path: Path) -> None:
    """A record could have its name."""
    daemon = '[daemon]\nstate_directory = "./state"\n'
    (tmp_path / "state").mkdir(mode=0o700)
    problem = only(refused(config(tmp_path, 'login_file = "./state/login"', more=daemon)))
    assert "inside the state directory" in problem.message


def test_a_sink_that_writes_there_is_an_error(tmp_path: Path) -> None:
    """A token must not replace a login."""
    sink = '[[providers.mine.sinks]]\nkind = "raw"\npath = "./login"'
    problem = only(refused(config(tmp_path, f'login_file = "./login"\n{sink}')))
    assert "is read by tokend (login_file)" in problem.message


def test_a_key_has_32_bytes_and_goes_with_a_file(tmp_path: Path) -> None:
    """Its place is named, nothing of it is shown."""
    (tmp_path / "key").write_bytes(b"planted-short-key")
    (tmp_path / "key").chmod(0o600)
    key = 'login_file_key = { file = "./key" }'
    problem = only(refused(config(tmp_path, f'login_file = "./login"\n{key}')))
    assert "17 bytes" in problem.message
    assert "planted" not in str(problem)
    assert (
        "it goes with login_file"
        in only(refused(config(tmp_path, f'refresh_token = {{ env = "KEY" }}\n{key}'))).message
    )
    (tmp_path / "key").write_bytes(b"obviously-fake-key-of-32-bytes-1")
    assert loaded(config(tmp_path, f'login_file = "./login"\n{key}')).warnings == ()
    (tmp_path / "key").unlink()
    assert any("key" in one.message for one in refused(config(tmp_path, f'login_file = "./login"\n{key}')))


def test_another_providers_token_is_no_key(tmp_path: Path) -> None:
    """It changes, and the file would not open any more."""
    problems = refused(config(tmp_path, 'login_file = "./login"\nlogin_file_key = { token = "mine" }'))
    assert any("a key does not change" in one.message for one in problems)


def test_grants_without_a_login_have_no_login_file(tmp_path: Path) -> None:
    """The error names the grants that have one."""
    keys = 'client_secret = { env = "KEY" }\nlogin_file = "./login"'
    problem = only(refused(config(tmp_path, keys, grant="client_credentials")))
    assert 'it goes with grant = "authorization_code" or "device_code" or "refresh_token"' in problem.message


def test_memory_of_systemd_needs_a_login_file(tmp_path: Path) -> None:
    """A stop would lose the login."""
    daemon = '[daemon]\nstate = "fdstore"\n'
    keys = 'refresh_token = { env = "KEY" }\n'
    problem = only(refused(config(tmp_path, keys, more=daemon)))
    assert problem.where == ("daemon", "state")
    assert "mine has a login, which a stop would lose: give it a login_file" in problem.message
    assert loaded(config(tmp_path, keys + 'login_file = "./login"', more=daemon)).daemon.state == "fdstore"
