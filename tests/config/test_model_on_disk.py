"""`Config.is_on_disk`: whether the files changed between their reading and the start of the watch."""

from pathlib import Path

from tests.config.written import PARTNER, loaded, written


def test_a_file_that_was_saved_after_it_was_read_is_noticed(tmp_path: Path) -> None:
    """docs/promises.md 85: content is compared, so that saving the same content is no change."""
    path = written(tmp_path, PARTNER)
    config = loaded(path)
    assert config.is_on_disk()
    written(tmp_path, PARTNER)
    assert config.is_on_disk()
    written(tmp_path, PARTNER + "# mended\n")
    assert not config.is_on_disk()
    path.unlink()
    assert not config.is_on_disk()


def test_where_files_are_included_by_a_pattern_there_is_no_telling(tmp_path: Path) -> None:
    """A new file may match the pattern, so the answer is False."""
    written(tmp_path, PARTNER, name="conf.d/partner.toml")
    assert not loaded(written(tmp_path, 'include = ["conf.d/*.toml"]\n')).is_on_disk()
