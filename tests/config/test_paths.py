"""Default paths of the configuration, the socket and the state."""

import os
import pwd
from pathlib import Path

import pytest

from tests.config.written import loaded, written
from tokend.config import find_config
from tokend.config.paths import default_socket, default_state_directory
from tokend.values.errors import ConfigError


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """Make a configuration at every possible place."""
    found = {}
    for place in (
        "explicit",
        "named",
        "systemd/config.toml",
        "xdg/tokend/config.toml",
        "home/.config/tokend/config.toml",
    ):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        found[place.split("/")[0]] = path
    return found


def everything(places: dict[str, Path]) -> dict[str, str]:
    return {
        "TOKEND_CONFIG": str(places["named"]),
        "CONFIGURATION_DIRECTORY": f"{places['systemd'].parent}:/elsewhere",
        "XDG_CONFIG_HOME": str(places["xdg"].parents[1]),
        "HOME": str(places["home"].parents[2]),
    }


def test_the_command_line_goes_before_the_environment_before_the_usual_places(places: dict[str, Path]) -> None:
    """The order is --config, $TOKEND_CONFIG, the first of $CONFIGURATION_DIRECTORY, $XDG_CONFIG_HOME, ~/.config."""
    environ = everything(places)
    assert find_config(places["explicit"], environ=environ, uid=1000) == places["explicit"]
    for place, names in (
        ("named", ["TOKEND_CONFIG"]),
        ("systemd", ["CONFIGURATION_DIRECTORY"]),
        ("xdg", ["XDG_CONFIG_HOME"]),
        ("home", ["HOME"]),
    ):
        assert find_config(None, environ=environ, uid=1000) == places[place]
        for name in names:
            del environ[name]


@pytest.mark.parametrize("name", ["TOKEND_CONFIG", "CONFIGURATION_DIRECTORY", "XDG_CONFIG_HOME"])
def test_an_empty_variable_is_none(places: dict[str, Path], name: str) -> None:
    """Unit files and shells may set a variable to an empty string."""
    environ = {"HOME": str(places["home"].parents[2]), name: ""}
    assert find_config(None, environ=environ, uid=1000) == places["home"]


def test_a_relative_xdg_directory_is_ignored(places: dict[str, Path]) -> None:
    """The XDG specification demands it."""
    environ = {"HOME": str(places["home"].parents[2]), "XDG_CONFIG_HOME": "relative"}
    assert find_config(None, environ=environ, uid=1000) == places["home"]


def test_root_looks_in_etc_whatever_xdg_says(places: dict[str, Path]) -> None:
    """sudo can leave the XDG variables of another user."""
    environ = {"XDG_CONFIG_HOME": str(places["xdg"].parents[1]), "HOME": str(places["home"].parents[2])}
    with pytest.raises(ConfigError, match=r"/etc/tokend/config\.toml \(the default for root\): there is none"):
        find_config(None, environ=environ, uid=0)


def test_the_home_of_a_user_without_home_is_the_one_of_the_user_database() -> None:
    """A daemon may start with an empty environment."""
    home = pwd.getpwuid(os.getuid()).pw_dir
    assert default_state_directory({}, os.getuid() or 1) in {
        f"{home}/.local/state/tokend",
        f"{pwd.getpwuid(1).pw_dir}/.local/state/tokend",
    }


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("missing.toml", "there is none"),
        ("", "what is there is no file"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_used_is_reported_with_path_reason_and_what_to_do(tmp_path: Path, path: str, why: str) -> None:
    """Never a traceback, whatever stands in the way."""
    with pytest.raises(ConfigError) as refused:
        find_config(tmp_path / path, environ={}, uid=0)
    assert str(tmp_path / path) in str(refused.value)
    assert why in str(refused.value)
    assert "config.toml.example" in str(refused.value)


def test_a_relative_path_becomes_absolute(tmp_path: Path) -> None:
    """A reload must find the same file after a change of the working directory."""
    (tmp_path / "c.toml").write_text("")
    found = find_config(Path(os.path.relpath(tmp_path / "c.toml")), environ={}, uid=0)
    assert found.is_absolute()
    assert found.samefile(tmp_path / "c.toml")


def test_the_socket_is_where_systemd_or_the_session_says(tmp_path: Path) -> None:
    """$RUNTIME_DIRECTORY (its first entry), else $XDG_RUNTIME_DIR/tokend, else /run/tokend."""
    session = {"XDG_RUNTIME_DIR": str(tmp_path)}
    uid = os.getuid()
    assert default_socket({**session, "RUNTIME_DIRECTORY": "/run/a:/run/b"}, uid) == "/run/a/tokend.sock"
    assert default_socket(session, uid) == f"{tmp_path}/tokend/tokend.sock"
    assert default_socket({}, uid) == default_socket({"XDG_RUNTIME_DIR": ""}, uid) == "/run/tokend/tokend.sock"


@pytest.mark.parametrize("owner", ["somebody", "nobody: it is missing"])
def test_another_user_s_runtime_directory_is_not_used(tmp_path: Path, owner: str) -> None:
    """`su` and `sudo -E` leave it in the environment. A warning says so, unless the path is configured."""
    runtime = tmp_path / "runtime"
    why = f"$XDG_RUNTIME_DIR is not used: {runtime}: No such file or directory"
    if owner == "somebody":
        if os.getuid() != 0:
            pytest.skip("only root can give a directory away")
        runtime.mkdir()
        os.chown(runtime, 54321, 54321)
        why = f"$XDG_RUNTIME_DIR is not used: {runtime} belongs to uid 54321, not to 0"
    environ = {"XDG_RUNTIME_DIR": str(runtime), "HOME": str(tmp_path)}
    config = loaded(written(tmp_path, ""), environ=environ)
    assert config.daemon.socket == Path("/run/tokend/tokend.sock")
    assert [warning.message for warning in config.warnings] == [why]
    given = written(tmp_path, f'[daemon]\nsocket = "{tmp_path}/s"\n')
    assert loaded(given, environ=environ).warnings == ()
    assert loaded(written(tmp_path, ""), environ={**environ, "RUNTIME_DIRECTORY": "/run/a"}).warnings == ()


def test_the_state_is_where_systemd_says_or_by_user() -> None:
    """$STATE_DIRECTORY (its first entry), else /var/lib/tokend for root, else a directory in the home."""
    assert default_state_directory({"STATE_DIRECTORY": "/a:/b"}, 7) == "/a"
    assert default_state_directory({"HOME": "/h"}, 0) == "/var/lib/tokend"
    assert default_state_directory({"HOME": "/h"}, 7) == "/h/.local/state/tokend"
