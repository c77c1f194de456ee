"""Places of targets: what the sinks find is in the configuration's findings, at its place."""

import os
from pathlib import Path

import pytest

from tests.config.written import PARTNER, loaded, only, refused, written
from tests.files.children import STRANGER, needs_root, public_directory

IN_PLACE = '[[providers.partner.sinks]]\nkind = "raw"\npath = "{path}"\nwrite = "in-place"\n'


def test_a_file_of_another_user_that_is_written_in_place_needs_an_owner(tmp_path: Path) -> None:
    """An error of `check` that names the key, and a warning at a start."""
    needs_root()
    with public_directory() as directory:
        target = directory / "file"
        target.touch()
        os.chown(target, STRANGER, -1)
        path = written(tmp_path, PARTNER + IN_PLACE.format(path=target))
        problem = only(refused(path))
        assert (problem.code, problem.line) == ("foreign_target", len((PARTNER + IN_PLACE).splitlines()) - 1)
        assert "add owner = " in problem.message
        warnings = loaded(path, starting=True).warnings
        assert [one.code for one in warnings if one.code == "foreign_target"] == ["foreign_target"]
        path = written(tmp_path, PARTNER + IN_PLACE.format(path=target) + f'owner = "{STRANGER}"\n')
        assert loaded(path).warnings == ()


def test_a_new_file_in_a_directory_of_another_user_is_a_warning(tmp_path: Path) -> None:
    """The bot whose directory it is could not read it."""
    needs_root()
    with public_directory() as directory:
        os.chown(directory, STRANGER, STRANGER)
        table = f'[[providers.partner.sinks]]\nkind = "dotenv"\nkey = "A"\npath = "{directory}/.env"\n'
        (warning,) = loaded(written(tmp_path, PARTNER + table)).warnings
        assert warning.code == "directory_of_another"
        assert f'set owner = "{STRANGER}", or group = "{STRANGER}" with mode = "0640"' in warning.message


@pytest.mark.parametrize("kind", ["raw", "json"])
def test_a_directory_of_ours_is_no_finding(tmp_path: Path, kind: str) -> None:
    """Nothing is said of the usual case."""
    table = f'[[providers.partner.sinks]]\nkind = "{kind}"\npath = "{tmp_path}/file"\n'
    assert loaded(written(tmp_path, PARTNER + table)).warnings == ()
