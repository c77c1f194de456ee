"""Comparison of the files with what was read from them: right after a start, before they are watched."""

from pathlib import Path

from tests.config.written import PARTNER, loaded, written


def test_a_file_that_was_saved_after_it_was_read_is_noticed(tmp_path: Path):
    """docs/promises.md 85: also while the daemon starts; by content, so that saving the same again is no change."""
    path = written(tmp_path, PARTNER)
    config = loaded(path)
    assert config.is_on_disk()
    written(tmp_path, PARTNER)
    assert config.is_on_disk()
    written(tmp_path, PARTNER + "# mended\n")
    assert not config.is_on_disk()
    path.unlink()
    assert not config.is_on_disk()


def test_where_files_are_included_by_a_pattern_there_is_no_telling(tmp_path: Path):
    """A file may have come that was not read: the whole is read again."""
    written(tmp_path, PARTNER, name="conf.d/partner.toml")
    assert not loaded(written(tmp_path, 'include = ["conf.d/*.toml"]\n')).is_on_disk()
