"""Configuration files: how a reload reads changed files, and all errors of all files at once."""

import threading
import time
from pathlib import Path

import pytest

from tests.config.written import PARTNER, loaded, only, refused, written
from tokend.config import Config, InvalidConfigError
from tokend.config.config_files import LARGEST_BYTES


def test_one_broken_file_hides_no_error_of_another(tmp_path: Path) -> None:
    """The errors of all files are reported at once."""
    written(tmp_path, "broken [\n", name="conf.d/a.toml")
    written(tmp_path, PARTNER + "zzz = 1\n", name="conf.d/b.toml")
    main = written(tmp_path, 'include = ["conf.d/*.toml"]\nyyy = 1\n')
    assert [Path(p.file).name for p in refused(main)] == ["a.toml", "b.toml", "config.toml"]


def test_a_huge_file_is_named_and_not_read(tmp_path: Path) -> None:
    """`tokend check`, run by root on somebody's file, would need several times its size."""
    main = written(tmp_path, PARTNER)
    with main.open("r+b") as file:
        file.truncate(8 * 1024**3)
    assert only(refused(main)).message == f"this file cannot be read: larger than {LARGEST_BYTES} bytes: not read"


# ------------------------------------------------------------------ reload


def refusal(main: Path, before: Config) -> str | None:
    """Load a configuration once. Return the message of its only error, or None if the configuration is valid."""
    try:
        assert loaded(main, before=before).providers == before.providers
    except InvalidConfigError as error:
        return only(list(error.errors)).message
    return None


def test_a_file_that_keeps_changing_is_not_believed_on_a_reload(tmp_path: Path) -> None:
    """A reload reads a file until two reads agree. If they never do, the file is an error."""
    main = written(tmp_path, PARTNER)
    before = loaded(main)
    ended, writing = threading.Event(), threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            written(tmp_path, PARTNER + f"# {number}\n", name="next").replace(main)
            writing.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert writing.wait(10)
        found = None
        deadline = time.monotonic() + 10
        # On a busy machine the writer may not run between two reads. The file is stable then, and the load succeeds.
        while found is None and time.monotonic() < deadline:
            found = refusal(main, before)
    finally:
        ended.set()
        writer.join()
    assert found == "this file cannot be read: it keeps changing while it is read"
    assert loaded(main, before=before).providers == before.providers


@pytest.mark.parametrize("text", ["", "\n\n", "# all gone\n", "\ufeff"])
@pytest.mark.parametrize("name", ["config.toml", "conf.d/a.toml"])
def test_a_file_that_shrank_to_nothing_is_not_believed(tmp_path: Path, name: str, text: str) -> None:
    """An empty file that had providers is an error, whether main or included.

    The message says how to write an empty configuration.
    """
    written(tmp_path, PARTNER, name="conf.d/a.toml")
    before = loaded(written(tmp_path, 'include = ["conf.d/*.toml"]\n'))
    written(tmp_path, text, name=name)
    problem = only(refused(tmp_path / "config.toml", before=before))
    assert problem.file == str(tmp_path / name)
    assert "this file had providers and is empty now: not accepted" in problem.message
    written(tmp_path, "[providers]\n", name=name)
    assert loaded(tmp_path / "config.toml", before=before).providers == {}


def test_a_file_that_never_held_anything_may_stay_empty(tmp_path: Path) -> None:
    """Only a file that had providers must not become empty."""
    written(tmp_path, "", name="conf.d/a.toml")
    before = loaded(written(tmp_path, 'include = ["conf.d/*.toml"]\n' + PARTNER))
    assert loaded(tmp_path / "config.toml", before=before).providers == before.providers
