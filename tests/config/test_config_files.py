"""Included files: which files are included, in which order, and how a reload reads changed files."""

import threading
import time
from pathlib import Path

import pytest

from tests.config.written import PARTNER, TT, WALLET, loaded, only, refused, written
from tokend.config import Config, InvalidConfigError


def names(path: Path) -> list[str]:
    return [str(file.relative_to(path.parent)) for file in loaded(path).files]


def test_files_are_added_in_sorted_order_after_the_main_one(tmp_path: Path) -> None:
    """The order of the directory does not matter."""
    for name, text in (("b", TT), ("a", WALLET), ("c", "")):
        written(tmp_path, text, name=f"conf.d/{name}.toml")
    main = written(tmp_path, 'include = ["conf.d/*.toml"]\n' + PARTNER)
    assert names(main) == ["config.toml", "conf.d/a.toml", "conf.d/b.toml", "conf.d/c.toml"]
    config = loaded(main)
    assert list(config.providers) == ["partner", "wallet", "tt"]
    assert config.directories == (tmp_path / "conf.d",)
    assert config.origins["tt"] == tmp_path / "conf.d/b.toml"


def test_a_provider_named_twice_is_an_error_that_names_both_files(tmp_path: Path) -> None:
    """The error is at the second definition and names file and line of the first."""
    written(tmp_path, "\n" + PARTNER, name="conf.d/a.toml")
    main = written(tmp_path, 'include = ["conf.d/*.toml"]\n' + PARTNER)
    problem = only(refused(main))
    assert (problem.file, problem.line) == (str(tmp_path / "conf.d/a.toml"), 2)
    assert problem.message == f'provider "partner" is defined twice; first at {main}:2'


def test_only_files_with_plain_names_are_brought_in_by_a_pattern(tmp_path: Path) -> None:
    """Backups, temporary files and leftovers of package managers are skipped. An unusual name causes a warning."""
    for name in (".hidden.toml", "a.toml~", "#a.toml#", "a.toml.rpmnew", "with space.toml", "a.conf"):
        written(tmp_path, "broken [", name=f"conf.d/{name}")
    (tmp_path / "conf.d/directory.toml").mkdir()
    written(tmp_path, PARTNER, name="conf.d/a.toml")
    main = written(tmp_path, 'include = ["conf.d/*"]\n')
    assert names(main) == ["config.toml", "conf.d/a.toml"]
    warned = [warning.message.split(" is left out")[0] for warning in loaded(main).warnings]
    assert sorted(Path(name).name for name in warned) == ["a.conf", "a.toml.rpmnew", "with space.toml"]


def test_a_file_that_two_patterns_match_is_read_once(tmp_path: Path) -> None:
    """Otherwise the file, or the main file beside it, would define its providers twice."""
    written(tmp_path, PARTNER, name="a.toml")
    main = written(tmp_path, 'include = ["*.toml", "a*", "./a.toml", "conf.d/none-yet-*.toml"]\n' + WALLET)
    assert names(main) == ["config.toml", "a.toml"]
    assert loaded(main).directories == (tmp_path, tmp_path / "conf.d")


def test_absolute_patterns_and_directories_of_directories(tmp_path: Path) -> None:
    """Each directory that can contain included files is in the list of watched directories."""
    written(tmp_path, PARTNER, name="d/one/a.toml")
    written(tmp_path, WALLET, name="d/two/a.toml")
    main = written(tmp_path, f'include = ["{tmp_path}/d/*/a.toml"]\n', name="main/config.toml")
    config = loaded(main)
    assert list(config.providers) == ["partner", "wallet"]
    assert set(config.directories) == {tmp_path / "d", tmp_path / "d/one", tmp_path / "d/two"}


def test_relative_paths_of_an_included_file_start_at_its_own_directory(tmp_path: Path) -> None:
    """A file can be moved together with the files that it names."""
    written(tmp_path, PARTNER + 'sinks = [{ kind = "raw", path = "x" }]\n', name="conf.d/a.toml")
    main = written(tmp_path, 'include = ["conf.d/a.toml"]\n')
    assert loaded(main).providers["partner"].sinks[0].target == str(tmp_path / "conf.d/x")


@pytest.mark.parametrize(
    ("include", "column", "message"),
    [
        ('"conf.d/*.toml"', 1, 'include is an array of patterns: ["conf.d/*.toml"]'),
        ('["x*", 5]', 1, "include is an array of patterns"),
        ('["missing.toml"]', 12, 'include: "missing.toml": No such file or directory'),
        ('["**x"]', 12, "this is no pattern of file names"),
        ('["x\\u0000*"]', 12, "this is no pattern of file names"),
        ('["config.toml/*"]', 12, "Not a directory"),
        ('[""]', 12, 'include: "": this is a directory: name its files, as in DIRECTORY/*.toml'),
    ],
)
def test_what_cannot_be_included_is_an_error_at_its_pattern(
    tmp_path: Path, include: str, column: int, message: str
) -> None:
    """A name without a wildcard must exist.

    A directory that cannot be listed is an error, because its providers would be lost.
    """
    problem = only(refused(written(tmp_path, f"include = {include}\n")))
    assert message in problem.message
    assert (problem.line, problem.column) == (1, column)


def test_daemon_and_include_belong_into_the_main_file(tmp_path: Path) -> None:
    """Both errors name the main file. Other mistakes in the included file are reported too."""
    written(tmp_path, 'include = []\nzzz = 1\n[daemon]\n[providers.a]\nkind = "x"\n', name="a.toml")
    messages = [p.message for p in refused(written(tmp_path, 'include = ["a.toml"]\n'))]
    assert messages[0].startswith(f"include belongs into the main file {tmp_path}/config.toml")
    assert messages[1].startswith('unknown key "zzz"')
    assert messages[2].startswith("daemon belongs into the main file")
    assert messages[3].startswith("unknown kind")


def test_one_broken_file_hides_no_error_of_another(tmp_path: Path) -> None:
    """The errors of all files are reported at once."""
    written(tmp_path, "broken [\n", name="conf.d/a.toml")
    written(tmp_path, PARTNER + "zzz = 1\n", name="conf.d/b.toml")
    main = written(tmp_path, 'include = ["conf.d/*.toml"]\nyyy = 1\n')
    assert [Path(p.file).name for p in refused(main)] == ["a.toml", "b.toml", "config.toml"]


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


def test_an_included_file_that_is_gone_takes_its_providers_with_it(tmp_path: Path) -> None:
    """The removal of an included file removes its providers."""
    gone = written(tmp_path, PARTNER, name="conf.d/a.toml")
    before = loaded(written(tmp_path, 'include = ["conf.d/*.toml"]\n' + WALLET))
    gone.unlink()
    assert list(loaded(tmp_path / "config.toml", before=before).providers) == ["wallet"]
