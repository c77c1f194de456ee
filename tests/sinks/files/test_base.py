"""The family of file sinks: place, owner, and the words for what failed. Contents are tested kind by kind."""

import errno
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.sinks.leases import lease
from tokend.files import Ownership
from tokend.files.advice import IN_PLACE
from tokend.files.ownership import own_group
from tokend.plugin.kind_check import sink_faults
from tokend.sinks.files.base import FileSink
from tokend.values.errors import SinkError
from tokend.values.tokens import Lease


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
    assert made("/t", mode="0640").ownership() == Ownership(mode=0o640, gid=own_group())
    assert made("/t", mode="0640", write="in-place").ownership() == Ownership(mode=0o640)
    for key in ("owner", "group"):
        with pytest.raises(SinkError, match=rf"/t: {key} 'no-such-name' is not known on this machine"):
            made("/t", **{key: "no-such-name"}).ownership()


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EXDEV])
def test_a_file_that_cannot_be_renamed_over_comes_with_advice(code: int) -> None:
    """It is bind-mounted, as containers do it."""
    with pytest.raises(SinkError) as refused, made("/t").operator_errors():
        raise OSError(code, "busy", "/t")
    assert refused.value.detail == f"/t: busy; {IN_PLACE}"


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


class Rendering(FileSink):
    def render(self, lease: Lease) -> bytes:
        return b"x"


class AsyncRender(FileSink):
    async def render(self, lease: Lease) -> bytes:  # type: ignore[override]  # this is what the check finds
        return b"x"


class ShortRender(FileSink):
    def render(self) -> bytes:  # type: ignore[override]  # this is what the check finds
        return b"x"


class OddProbe(Rendering):
    async def probe_blocking(self) -> None:  # type: ignore[override]  # this is what the check finds
        pass


class Uncombined(Rendering):
    tokens: tuple[str, ...] = ()


class TextRender(FileSink):
    def render(self, lease: Lease) -> bytes:
        return "not bytes"  # type: ignore[return-value]  # this is what the write finds


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Rendering, []),
        (Plain, ["it has no method render: write def render(self, lease), which returns bytes"]),
        (AsyncRender, ["its method render has another signature: write def render(self, lease)"]),
        (ShortRender, ["its method render has another signature: write def render(self, lease)"]),
        (OddProbe, ["its method probe_blocking has another signature: write def probe_blocking(self)"]),
        (Uncombined, ["it has no method write_all_blocking: write def write_all_blocking(self, lease, others)"]),
    ],
)
def test_the_check_of_the_class_finds_missing_and_wrong_methods(model: type[FileSink], said: list[str]) -> None:
    """They would fail at each write."""
    assert sink_faults("plain", model) == said


def test_a_text_instead_of_bytes_is_a_failure_of_the_sink(tmp_path: Path) -> None:
    """The message names the kind, not the text, which holds the token."""
    sink = TextRender.model_validate({"kind": "acme", "path": str(tmp_path / "x")})
    with pytest.raises(SinkError) as raised:
        sink.write_blocking(lease())
    assert str(raised.value) == f"{tmp_path}/x: kind acme: render returned str, bytes are expected"
