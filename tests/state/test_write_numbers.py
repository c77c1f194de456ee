"""The counter of sealed writes, and its witness outside of the state."""

from pathlib import Path

import pytest

from tokend.state.write_numbers import WriteNumbers


def after(path: Path, *, boot: str = "boot-1", state: int = 0) -> int | None:
    """What the next process of ``boot`` notices, which finds ``state`` in the directory."""
    numbers = WriteNumbers(path, boot)
    numbers.saw(state)
    noticed = numbers.went_back_from()
    assert numbers.take() > max(state, noticed or 0)
    numbers.close()
    return noticed


def test_within_one_boot_a_lower_number_is_noticed(tmp_path: Path) -> None:
    """Another boot has another witness: none."""
    path = tmp_path / "writes"
    numbers = WriteNumbers(path, "boot-1")
    numbers.saw(40)
    assert [numbers.take(), numbers.take()] == [41, 42]
    numbers.written()
    numbers.written()
    numbers.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert after(path, state=41) == 42
    assert after(path, state=42) is None
    assert after(path, state=50) is None
    assert after(path, state=0, boot="boot-2") is None
    assert after(path, state=0, boot="") is None


@pytest.mark.parametrize(
    "content", [b"", b"x", b"7", b"x boot-1", b"-5 boot-1", b"99999999999999999999 boot-1", b"\xff 1"]
)
def test_anything_else_in_the_file_counts_for_nothing(tmp_path: Path, content: bytes) -> None:
    """It is one more witness, not a promise."""
    path = tmp_path / "writes"
    path.write_bytes(content)
    assert after(path) is None


def test_without_a_place_for_it_numbers_rise_all_the_same(tmp_path: Path) -> None:
    """A directory that is not there, a link in its place, no place at all."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "none" / "writes", tmp_path / "link", None):
        numbers = WriteNumbers(path, "boot-1")
        assert numbers.take() == 1
        numbers.written()
        numbers.close()
        numbers.close()
    assert not (tmp_path / "elsewhere").exists()
