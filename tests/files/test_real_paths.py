"""Real paths, with each directory resolved once: the same as `os.path.realpath` gives."""

import os
from pathlib import Path

import pytest

from tokend.files import directories_resolved_once, real_path


@pytest.mark.parametrize("again", [False, True])
def test_every_kind_of_link_leads_where_it_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    """Links to files and to directories, to nothing and to themselves; what does not exist; relative and with dots."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").touch()
    for link, target in (
        ("directory", "real"),
        ("real/link", "../other"),
        ("other", "real/file"),
        ("dangling", "nowhere/at/all"),
        ("loop", "loop"),
        ("real/up", ".."),
    ):
        (tmp_path / link).symlink_to(target)
    monkeypatch.chdir(tmp_path)
    names = ["file", "link", "missing", "up", "up/other", "..", ".", "", "up/..", "up/../x", "file/x", "../loop/x"]
    paths = [f"{place}/{name}" for place in ("real", "directory", "missing", "loop", "dangling", ".") for name in names]
    paths += [str(tmp_path / path) for path in paths] + ["/", "//", "/x", "//x", "x", "", ".", "loop", "/proc/self/fd/"]
    with directories_resolved_once():
        for path in paths * 2 if again else reversed(paths):
            assert real_path(path) == os.path.realpath(path), path
            assert real_path(Path(path)) == os.path.realpath(Path(path)), path


def test_a_directory_is_resolved_once(tmp_path: Path) -> None:
    """Ten thousand files of one directory: what its link said to the first holds for all."""
    (tmp_path / "link").symlink_to("first")
    with directories_resolved_once():
        assert real_path(tmp_path / "link" / "a") == str(tmp_path / "first" / "a")
        (tmp_path / "link").unlink()
        (tmp_path / "link").symlink_to("second")
        assert real_path(tmp_path / "link" / "b") == str(tmp_path / "first" / "b")
    assert real_path(tmp_path / "link" / "b") == str(tmp_path / "second" / "b")
