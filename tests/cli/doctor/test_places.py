"""Findings about a configuration's places: state, socket, sinks, the unit."""

import os
from pathlib import Path

import pytest

from tests.config.written import ENVIRON, PARTNER, written
from tokend.cli.doctor.finding import Finding
from tokend.cli.doctor.places import findings_of_config, runtime_directory
from tokend.config import Config, load
from tokend.kinds import PROVIDERS, SINKS
from tokend.service_manager.unit_settings import UnitSettings


def config(tmp_path: Path, sinks: str = "") -> Config:
    text = '[daemon]\nstate_directory = "state"\nsocket = "s.sock"\n' + PARTNER + sinks
    return load(written(tmp_path, text), providers=PROVIDERS, sinks=SINKS, environ=ENVIRON)


def found(config: Config, uid: int | None = None, unit: UnitSettings | None = None) -> dict[str, Finding]:
    return {one.code: one for one in findings_of_config(config, uid, unit)}


def test_an_open_state_directory_and_one_of_another_user_are_errors(tmp_path: Path) -> None:
    """It holds tokens. One that is missing is made at the start."""
    valid = config(tmp_path)
    assert found(valid)["state_directory"].message.endswith("does not exist yet")
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    assert found(valid)["state_directory"].level == "info"
    assert found(valid, os.getuid())["state_directory"].level == "info"
    assert found(valid, os.getuid() + 1)["state_owner"].level == "error"
    state.chmod(0o750)
    assert found(valid)["state_mode"].advice == f"chmod 0700 {state}"


def test_a_file_where_the_socket_belongs_is_an_error(tmp_path: Path) -> None:
    """A missing one is not."""
    valid = config(tmp_path)
    assert found(valid)["socket"].level == "info"
    (tmp_path / "s.sock").write_text("")
    assert found(valid)["socket"].level == "error"


def test_sinks_that_have_no_directory_or_that_the_unit_forbids(tmp_path: Path) -> None:
    """systemd makes the directories of the unit itself."""
    valid = config(tmp_path, 'sinks = [{ kind = "raw", path = "none/x" }]\n')
    assert found(valid)["sink_directory"].advice == f"mkdir {tmp_path}/none"
    strict = UnitSettings("tokend.service", {"ProtectSystem": "strict"})
    assert "ReadWritePaths=" in found(valid, unit=strict)["unit_forbids"].message
    run = config(tmp_path, 'sinks = [{ kind = "raw", path = "/run/tokend-made-by-the-unit/x" }]\n')
    makes = UnitSettings("tokend.service", {"ProtectSystem": "strict", "RuntimeDirectory": "tokend-made-by-the-unit"})
    assert not found(run, unit=makes).keys() & {"sink_directory", "unit_forbids"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_another_user_s_runtime_directory_is_a_warning(tmp_path: Path) -> None:
    """`sudo -E` leaves it in the environment."""
    assert list(runtime_directory({"XDG_RUNTIME_DIR": str(tmp_path)})) == []
    os.chown(tmp_path, 54321, -1)
    assert [one.level for one in runtime_directory({"XDG_RUNTIME_DIR": str(tmp_path)})] == ["warning"]
