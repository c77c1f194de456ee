"""The family of file sinks: place, owner, and the words for what failed. Contents are tested kind by kind."""

import errno
from pathlib import Path

import pytest
from pydantic import ValidationError

from tokend.files import Ownership
from tokend.sinks.files.base import IN_PLACE_ADVICE, FileSink
from tokend.values.errors import SinkError


class Plain(FileSink):
    """A file sink without content of its own."""

    kind: str = "plain"


def made(path: Path | str, **keys: object) -> Plain:
    return Plain.model_validate({"path": str(path), **keys})


@pytest.mark.parametrize("path", ["/", "/run/.."])
def test_a_directory_is_no_place_for_a_file(path: str) -> None:
    """It would be found out at the first write only."""
    with pytest.raises(ValidationError, match="write the path of a file, not of a directory"):
        made(path)


def test_two_spellings_of_one_file_are_one_target(tmp_path: Path) -> None:
    """Two sinks there would overwrite each other."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert made(tmp_path / "real/t").exclusive_targets() == made(tmp_path / "link/../real/t").exclusive_targets()
    assert made(tmp_path / "link/t").exclusive_targets() == {str(tmp_path / "real/t")}
    assert made(tmp_path / "link/t").target == str(tmp_path / "link/t")


def test_owner_and_group_are_numbers_or_known_names() -> None:
    """A name is looked up at each write: the account may be made later."""
    assert made("/t", owner="root", group="0", mode="0640").ownership() == Ownership(mode=0o640, uid=0, gid=0)
    assert made("/t").ownership() == Ownership(mode=0o600)
    for key in ("owner", "group"):
        with pytest.raises(SinkError, match=rf"/t: {key} 'no-such-name' is not known on this machine"):
            made("/t", **{key: "no-such-name"}).ownership()


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EXDEV])
def test_a_file_that_cannot_be_renamed_over_comes_with_advice(code: int) -> None:
    """It is bind-mounted, as containers do it."""
    with pytest.raises(SinkError) as refused, made("/t").operator_errors():
        raise OSError(code, "busy", "/t")
    assert refused.value.detail == f"/t: busy; {IN_PLACE_ADVICE}"


def test_an_error_without_a_file_name_names_the_target() -> None:
    """An error of fsync has a descriptor only. The cause is not chained: it could show content."""
    with pytest.raises(SinkError) as refused, made("/t").operator_errors():
        raise OSError(errno.EIO, "Input/output error")
    assert refused.value.detail == "/t: Input/output error"
    assert refused.value.__suppress_context__


def test_a_kind_must_say_what_it_writes() -> None:
    """The family has no content."""
    with pytest.raises(NotImplementedError):
        made("/t").render(None)  # type: ignore[arg-type]  # it is not looked at
