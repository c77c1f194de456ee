"""Sinks that edit a file: what holds for each of them, by a kind that sets the first line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest

from tests.files.children import names
from tests.sinks.leases import PLANTED, InlineRuntime, ended, lease
from tokend.sinks.files.edited import EDIT_TRIES, Edit, EditedFileSink
from tokend.values.errors import SinkError
from tokend.values.tokens import Lease


class FirstLine(EditedFileSink):
    """A kind that sets the first line."""

    kind: Literal["first-line"] = "first-line"

    def setting(self, lease: Lease, others: Mapping[str, Lease]) -> Edit:
        value = lease.token.value.reveal_bytes()
        return lambda content: value + b"\n" + content.partition(b"\n")[2]

    def removing(self) -> Edit:
        return lambda content: b"\n" + content.partition(b"\n")[2]

    def trial(self) -> Edit:
        return self._refuse

    def _refuse(self, content: bytes) -> bytes:
        if content.startswith(b"closed"):
            raise SinkError("it is closed")
        return b""


def made(path: Path, **keys: object) -> FirstLine:
    return FirstLine.model_validate({"path": str(path), **keys})


def test_a_value_is_set_and_taken_away(tmp_path: Path) -> None:
    """What is not there is not made to be emptied."""
    path = tmp_path / "f"
    sink = made(path)
    assert not sink.remove_blocking()
    assert names(tmp_path) == set()
    assert sink.write_blocking(lease())
    assert not sink.write_all_blocking(lease(), {})
    path.write_text(path.read_text() + "more\n")
    assert not sink.write_blocking(lease())
    assert sink.remove_blocking()
    assert not sink.remove_blocking()
    assert path.read_text() == "\nmore\n"


def test_the_trial_runs_at_start_and_writes_nothing(tmp_path: Path) -> None:
    """On the file as it is."""
    path = tmp_path / "f"
    path.write_text("closed\n")
    with pytest.raises(SinkError, match="it is closed"):
        made(path).probe_blocking()
    path.write_text("open\n")
    made(path).probe_blocking()
    assert path.read_text() == "open\n"


def test_a_look_compares_by_the_edit(tmp_path: Path) -> None:
    """What stands beside the value does not count; a repair sets it again."""
    path = tmp_path / "f"
    sink = made(path)
    sink.write_blocking(lease())
    path.write_text(f"{PLANTED}\nmore\n")
    assert sink.difference(lease(), {}, None) is None
    path.write_text("other\nmore\n")
    found = sink.difference(lease(), {}, None)
    assert found is not None
    assert found.what == "it was overwritten"
    assert ended(sink.repair(InlineRuntime(), lease(), {}, None))
    assert path.read_text() == f"{PLANTED}\nmore\n"


def test_a_program_that_keeps_changing_the_file_ends_the_tries(tmp_path: Path) -> None:
    """The sink's own retries go on later."""
    path = tmp_path / "f"
    tries = []

    class Beside(FirstLine):
        def setting(self, lease: Lease, others: Mapping[str, Lease]) -> Edit:
            def change(content: bytes) -> bytes:
                tries.append(content)
                path.write_text(f"theirs\n{len(tries)}\n")
                return b"ours\n"

            return change

    with pytest.raises(SinkError, match="another program keeps changing the file"):
        Beside.model_validate({"path": str(path)}).write_blocking(lease())
    assert len(tries) == EDIT_TRIES
    assert path.read_text() == f"theirs\n{EDIT_TRIES}\n"


@pytest.mark.parametrize(
    ("found", "mode", "warned"), [(0o644, None, True), (0o640, None, False), (0o644, "0600", False)]
)
def test_a_file_that_every_user_may_read_is_a_warning(
    tmp_path: Path, found: int, mode: str | None, warned: bool
) -> None:
    """Of any kind that edits: the file keeps its mode unless the sink sets one."""
    path = tmp_path / "f"
    assert made(path).exposure() is None
    path.write_text("x\n")
    path.chmod(found)
    told = made(path, **({} if mode is None else {"mode": mode})).exposure()
    assert (told is not None) is warned
    assert told is None or f"chmod o-r {path}" in told


def test_the_kind_is_told_what_to_write() -> None:
    """The three methods are the author's."""
    bare = EditedFileSink.model_construct(kind="bare", path=Path("/nowhere"))
    with pytest.raises(NotImplementedError):
        bare.setting(lease(), {})
    with pytest.raises(NotImplementedError):
        bare.removing()
    with pytest.raises(NotImplementedError):
        bare.trial()
