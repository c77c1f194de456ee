"""Changes of a file by another program: their words, and whether the file may be overwritten."""

import os
from pathlib import Path

import pytest

from tests.files.children import STRANGER, needs_root, public_directory
from tokend.files import Ownership
from tokend.sinks.files.drift import content_phrase, is_trusted_place, ownership_phrases


def test_the_words_say_what_is_found_and_what_was_wanted() -> None:
    """Users and groups by name and number."""
    assert (content_phrase(b""), content_phrase(b"x")) == ("it was emptied", "it was overwritten")
    found = Ownership(mode=0o644, uid=STRANGER, gid=STRANGER)
    assert list(ownership_phrases(found, Ownership())) == []
    assert list(ownership_phrases(found, found)) == []
    assert list(ownership_phrases(found, Ownership(mode=0o600, uid=0, gid=0))) == [
        f"it belongs to uid {STRANGER} instead of root (uid 0)",
        f"its group is gid {STRANGER} instead of root (gid 0)",
        "its mode is 0644 instead of 0600",
    ]


@pytest.mark.parametrize(
    ("mode", "owner", "trusted"), [(0o755, 0, True), (0o1777, 0, False), (0o777, 0, False), (0o755, STRANGER, False)]
)
def test_a_place_is_trusted_if_only_we_can_have_put_the_file_there(mode: int, owner: int, trusted: bool) -> None:
    """The owner of the file itself does not count: root may have given it away."""
    needs_root()
    with public_directory() as directory:
        path = directory / "file"
        path.touch()
        os.chown(path, STRANGER, STRANGER)
        os.chown(directory, owner, owner)
        directory.chmod(mode)
        assert is_trusted_place(path) is trusted


def test_a_place_that_cannot_be_looked_at_is_not_trusted(tmp_path: Path) -> None:
    """Links that go round in a circle."""
    (tmp_path / "loop").symlink_to("loop")
    assert not is_trusted_place(tmp_path / "loop" / "file")
