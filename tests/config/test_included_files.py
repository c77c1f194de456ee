"""Included files: which files a pattern matches, in which order, and what a reload must not lose."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.config.written import ENVIRON, PARTNER, TT, WALLET, loaded, only, refused, written
from tokend.config import Config, load
from tokend.kinds import PROVIDERS, SINKS

Make = Callable[[Path], str]


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


# ------------------------------------------------------------------ names with a dot, and files that cannot be read


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("d/*.toml", ["d/a.toml"]),
        ("d/?b.toml", []),
        ("d/[.]b.toml", []),
        ("d/.*.toml", ["d/.b.toml"]),
        ("d/.b.toml", ["d/.b.toml"]),
        ("*/a.toml", ["d/a.toml"]),
        ("**/a.toml", ["d/a.toml"]),
        (".*/a.toml", [".e/a.toml"]),
        (".e/**/a.toml", [".e/a.toml", ".e/f/a.toml"]),
    ],
)
def test_a_wildcard_matches_no_name_with_a_leading_dot(tmp_path: Path, pattern: str, found: list[str]) -> None:
    """This holds for directories, too. A pattern that spells the dot matches them."""
    for name in ("d/a.toml", "d/.b.toml", ".e/a.toml", ".e/f/a.toml", ".e/.g/a.toml"):
        written(tmp_path, "", name=name)
    assert names(written(tmp_path, f'include = ["{pattern}"]\n')) == ["config.toml", *found]


def test_an_editors_lock_is_passed_over(tmp_path: Path) -> None:
    """Emacs' lock is a link that leads nowhere."""
    written(tmp_path, PARTNER, name="conf.d/partner.toml")
    (tmp_path / "conf.d/.#partner.toml").symlink_to("me@host.1234:1790000000")
    for pattern in ("conf.d/*.toml", "conf.d/*", "**/*.toml"):
        config = loaded(written(tmp_path, f'include = ["{pattern}"]\n'))
        assert list(config.providers) == ["partner"]
        assert config.warnings == ()


def started(main: Path) -> Config:
    """Load the configuration as a start does."""
    return load(main, providers=PROVIDERS, sinks=SINKS, environ=ENVIRON, starting=True)


def link_to_nothing(path: Path) -> str:
    path.symlink_to("nowhere.toml")
    return "it is a link to nowhere.toml, which does not exist"


def loop_of_links(path: Path) -> str:
    path.symlink_to(path.name)
    return "its links lead in a circle"


def link_through_a_file(path: Path) -> str:
    path.symlink_to("a.toml/x.toml")
    return "Not a directory"


def unreadable(path: Path) -> str:
    # Also root cannot read this file from its beginning.
    path.symlink_to("/proc/self/mem")
    return "Input/output error (read)"


@pytest.mark.parametrize("make", [link_to_nothing, loop_of_links, link_through_a_file, unreadable])
@pytest.mark.parametrize("pattern", ["conf.d/*.toml", "*/x.toml"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make: Make, pattern: str) -> None:
    """It is an error of a check and of a reload. A start serves the other files' tokens, and warns."""
    written(tmp_path, PARTNER, name="conf.d/a.toml")
    main = written(tmp_path, f'include = ["conf.d/a.toml", "{pattern}"]\n' + WALLET)
    before = loaded(main) if "*." in pattern else None
    why = make(tmp_path / "conf.d/x.toml")
    expected = (str(tmp_path / "conf.d/x.toml"), f"this file cannot be read: {why}")
    for problem in (only(refused(main)), only(refused(main, before=before)), only(list(started(main).warnings))):
        assert (problem.file, problem.message) == expected
    assert list(started(main).providers) == ["wallet", "partner"]


@pytest.mark.parametrize("make", [link_to_nothing, loop_of_links, link_through_a_file])
def test_a_file_that_is_named_whole_and_cannot_be_read_is_an_error_at_its_name(tmp_path: Path, make: Make) -> None:
    """A start goes on without it, and warns."""
    written(tmp_path, "", name="a.toml")
    main = written(tmp_path, 'include = ["x.toml"]\n' + WALLET)
    why = make(tmp_path / "x.toml")
    assert only(refused(main)).message == only(list(started(main).warnings)).message == f'include: "x.toml": {why}'
    assert list(started(main).providers) == ["wallet"]


def test_a_fifo_is_never_opened_as_a_configuration(tmp_path: Path) -> None:
    """A wildcard leaves it out, with a warning. A pattern that names it is an error: opening it could block."""
    os.mkfifo(tmp_path / "x.toml")
    warnings = loaded(written(tmp_path, 'include = ["x.*"]\n', name="main.toml")).warnings
    assert warnings[0].message == f"{tmp_path}/x.toml is left out: it is no regular file"
    problem = only(refused(written(tmp_path, 'include = ["x.toml"]\n', name="main.toml")))
    assert problem.message == 'include: "x.toml": it is no regular file'


def test_a_link_to_dev_null_masks_a_file(tmp_path: Path) -> None:
    """It is read as an empty file, as in the directories of systemd."""
    (tmp_path / "x.toml").symlink_to("/dev/null")
    for pattern in ("x.*", "x.toml"):
        config = loaded(written(tmp_path, f'include = ["{pattern}"]\n', name="main.toml"))
        assert (config.providers, config.warnings) == ({}, ())


@pytest.mark.parametrize(
    ("target", "why"),
    [("two", "Too many levels of symbolic links"), ("away", "it is a link to away, which does not exist")],
)
@pytest.mark.parametrize("pattern", ["d/*/a.toml", "d/*/*.toml"])
def test_a_directory_below_the_pattern_that_cannot_be_listed_is_named(
    tmp_path: Path, target: str, why: str, pattern: str
) -> None:
    """Its providers would be lost without a word. A file where a directory could be is passed over."""
    written(tmp_path, PARTNER, name="d/one/a.toml")
    written(tmp_path, "", name="d/README")
    main = written(tmp_path, f'include = ["{pattern}"]\n')
    (tmp_path / "d/two").symlink_to(target)
    problem = only(refused(main))
    # The name of the loop alone, or with the file that was looked for in it.
    where, _, reason = problem.message.removeprefix(f'include: "{pattern}": ').partition(": ")
    assert (Path(where).relative_to(tmp_path / "d").parts[0], reason) == ("two", why)
    assert [warning.message for warning in started(main).warnings] == [problem.message]


# ------------------------------------------------------------------ what a reload must not lose


WAYS_OUT = "Delete the pattern, leave an empty file that it matches, or restart tokend"


def test_a_pattern_that_matches_nothing_any_more_is_an_error_of_a_reload(tmp_path: Path) -> None:
    """A mount that is away for a moment must not take its providers with it. The message has the ways out."""
    gone = written(tmp_path, PARTNER, name="conf.d/a.toml")
    main = written(tmp_path, 'include = ["conf.d/*.toml"]\n' + WALLET)
    before = loaded(main)
    gone.unlink()
    expected = f'include: "conf.d/*.toml": it matched files before and matches none now. {WAYS_OUT}'
    assert only(refused(main, before=before)).message == expected
    written(tmp_path, "", name="conf.d/none.toml")
    assert list(loaded(main, before=before).providers) == ["wallet"]
    (tmp_path / "conf.d/none.toml").unlink()
    written(tmp_path, WALLET)
    assert list(loaded(main, before=before).providers) == ["wallet"]


@pytest.mark.parametrize("held", ["a.toml", "a.toml~"])
def test_a_directory_that_is_gone_is_an_error_of_a_reload(tmp_path: Path, held: str) -> None:
    """Whether the pattern matched a file in it or not."""
    written(tmp_path, PARTNER, name=f"conf.d/{held}")
    main = written(tmp_path, 'include = ["conf.d/*.toml"]\n' + WALLET)
    before = loaded(main)
    (tmp_path / "conf.d").rename(tmp_path / "away")
    expected = f'include: "conf.d/*.toml": the directory {tmp_path}/conf.d is gone. {WAYS_OUT}'
    assert only(refused(main, before=before)).message == expected
    (tmp_path / "away").rename(tmp_path / "conf.d")
    assert loaded(main, before=before) == before


def test_each_pattern_counts_by_itself(tmp_path: Path) -> None:
    """One pattern that still matches does not excuse another."""
    gone = written(tmp_path, PARTNER, name="one/a.toml")
    written(tmp_path, TT, name="two/b.toml")
    main = written(tmp_path, 'include = ["one/*.toml", "two/*.toml"]\n')
    before = loaded(main)
    gone.unlink()
    assert 'include: "one/*.toml": it matched' in only(refused(main, before=before)).message


def test_a_file_that_is_named_whole_and_gone_has_the_ways_out_in_its_message(tmp_path: Path) -> None:
    """It is refused without an earlier match as well."""
    gone = written(tmp_path, PARTNER, name="a.toml")
    main = written(tmp_path, 'include = ["a.toml"]\n')
    before = loaded(main)
    gone.unlink()
    expected = f'include: "a.toml": No such file or directory. {WAYS_OUT}'
    assert only(refused(main, before=before)).message == expected


def test_one_of_several_files_that_is_gone_takes_its_providers_with_it(tmp_path: Path) -> None:
    """The removal of an included file removes its providers, as long as the pattern matches another."""
    gone = written(tmp_path, PARTNER, name="conf.d/a.toml")
    written(tmp_path, TT, name="conf.d/b.toml")
    main = written(tmp_path, 'include = ["conf.d/*.toml"]\n' + WALLET)
    before = loaded(main)
    gone.unlink()
    assert list(loaded(main, before=before).providers) == ["wallet", "tt"]


@pytest.mark.parametrize(
    ("directory", "message"),
    [(True, "it matches no file"), (False, "there is no directory {directory} on this machine")],
)
def test_a_start_without_matches_warns(tmp_path: Path, directory: bool, message: str) -> None:
    """It is no error of a check either, and none of a later reload: nothing was lost."""
    if directory:
        (tmp_path / "conf.d").mkdir()
    main = written(tmp_path, 'include = ["conf.d/*.toml"]\n' + WALLET)
    expected = 'include: "conf.d/*.toml": ' + message.format(directory=tmp_path / "conf.d")
    before = started(main)
    for config in (before, loaded(main), loaded(main, before=before)):
        assert [warning.message for warning in config.warnings] == [expected]
