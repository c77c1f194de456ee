"""The layer that seals, over the state directory: names, numbers, what cannot be opened, the index."""

import threading
from pathlib import Path

import pytest

from tokend.state.directory import StateDirectory
from tokend.state.sealed import SealedState
from tokend.state.sealing import MAGIC, Sealer, StateKey
from tokend.state.write_numbers import WriteNumbers
from tokend.values.errors import StoreError

ONE, TWO = (StateKey(b"a-planted-fake-key-of-32-bytes-" + last) for last in (b"1", b"2"))
SEALERS = {
    "clear": Sealer(),
    "one": Sealer(ONE),
    "two": Sealer(TWO),
    "both": Sealer(TWO, [ONE]),
    "back": Sealer(None, [ONE]),
}


class Opened:
    """A state that was opened and read, as a start does."""

    def __init__(self, place: Path, key: str, numbers: WriteNumbers | None = None) -> None:
        self.state = SealedState(StateDirectory(place, SEALERS[key]), SEALERS[key], numbers)
        self.records = {path.stem: content for path, content in self.state.files()}
        self.marks = {path.stem: content for path, content in self.state.marks()}

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.state.close()

    @property
    def codes(self) -> list[str]:
        return [one.code for one in self.state.warnings()]


def write(place: Path, key: str, *, records: str = "", marks: str = "") -> None:
    """Save records and marks with the content of their names."""
    with Opened(place, key) as one:
        for name in records.split():
            one.state.save(name, name.encode())
        for name in marks.split():
            one.state.save_marks(name, name.encode())


def test_records_and_marks_come_back_and_are_sealed_on_the_disk(tmp_path: Path) -> None:
    """The salt and the index as well; of marks that were removed nothing is left."""
    write(tmp_path, "one", records="px a.b", marks="px tt")
    with Opened(tmp_path, "one") as one:
        one.state.save_marks("tt", None)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in {"lock", "events"}]
    assert {path.name for path in files} == {"px.json", "a.b.json", "salt", "index"}
    assert all(path.read_bytes().startswith(MAGIC) for path in files)
    with Opened(tmp_path, "one") as one:
        assert (one.records, one.marks, one.codes) == ({"px": b"px", "a.b": b"a.b"}, {"px": b"px"}, [])
        assert (one.state.outdated, one.state.outdated_marks, one.state.unopened) == (set(), set(), {})
        assert one.state.index_seconds() is None


@pytest.mark.parametrize(("old", "new"), [("clear", "one"), ("one", "both"), ("one", "back"), ("clear", "clear")])
def test_files_of_another_form_are_named_until_they_are_written(tmp_path: Path, old: str, new: str) -> None:
    """And the digests stay those of one salt."""
    write(tmp_path, old, records="px tt", marks="px")
    with Opened(tmp_path, old) as one:
        digest = one.state.digest(b"a-fake-token")
    with Opened(tmp_path, new) as one:
        assert one.state.digest(b"a-fake-token") == digest
        assert one.records == {"px": b"px", "tt": b"tt"}
        assert one.state.outdated == (set() if old == new else {"px", "tt"})
        assert one.state.outdated_marks == (set() if old == new else {"px"})
        one.state.save("px", b"px")
        one.state.save_marks("px", b"px")
        assert one.state.outdated <= {"tt"}
        assert one.state.outdated_marks == set()
    last = {"both": "two", "back": "clear"}.get(new, new)
    with Opened(tmp_path, last) as one:
        assert "px" in one.records
        assert one.state.digest(b"a-fake-token") == digest


@pytest.mark.parametrize("key", ["two", "clear"])
def test_what_does_not_open_stays_and_nothing_is_saved_in_its_place(tmp_path: Path, key: str) -> None:
    """The index of the other key stays, too, as long as there is a record of that key."""
    write(tmp_path, "one", records="px tt")
    kept = {path: path.read_bytes() for path in [*tmp_path.glob("tokens/*"), tmp_path / "salt", tmp_path / "index"]}
    with Opened(tmp_path, key) as one:
        assert one.records == {}
        assert one.state.unopened.keys() == {"px", "tt"}
        assert "state_unopened" in one.codes
        with pytest.raises(StoreError, match="cannot be opened"):
            one.state.save("px", b"newer")
        assert one.state.index_seconds() is None
    assert {path: path.read_bytes() for path in kept} == kept
    with Opened(tmp_path, "one") as one:
        assert one.records == {"px": b"px", "tt": b"tt"}


def test_an_admin_may_drop_one_and_the_others_stay(tmp_path: Path) -> None:
    """It is set aside, also for the name that its provider has by now; an index of the new key follows the last."""
    write(tmp_path, "one", records="px tt")
    with Opened(tmp_path, "two") as one:
        one.state.follow("px", "renamed")
        one.state.follow("unknown", "other")
        assert one.state.unopened.keys() == {"px", "tt", "renamed"}
        one.state.drop("renamed")
        one.state.drop("never-there")
        assert one.state.unopened.keys() == {"tt"}
        one.state.save("px", b"newer")
        assert one.state.index_seconds() is None
        one.state.drop("tt")
        assert one.state.index_seconds() is not None
    assert {path.name for path in tmp_path.glob("tokens/*")} == {"px.json", "px.damaged", "tt.damaged"}
    with Opened(tmp_path, "two") as one:
        assert (one.records, one.codes) == ({"px": b"newer"}, [])


def test_one_that_was_put_back_alone_or_has_another_name_does_not_open(tmp_path: Path) -> None:
    """Nor does a mark: that is asked for again, and written over."""
    write(tmp_path, "one", records="px tt", marks="px")
    old, marks = (tmp_path / "tokens/px.json").read_bytes(), (tmp_path / "sinks/px.json").read_bytes()
    write(tmp_path, "one", records="px tt", marks="px")
    (tmp_path / "tokens/px.json").write_bytes(old)
    (tmp_path / "tokens/other.json").write_bytes((tmp_path / "tokens/tt.json").read_bytes())
    (tmp_path / "sinks/px.json").write_bytes(marks)
    with Opened(tmp_path, "one") as one:
        assert (one.records, one.marks) == ({"tt": b"tt"}, {})
        assert "it was put back" in one.state.unopened["px"]
        assert "another name" in one.state.unopened["other"]
        one.state.save_marks("px", b"newer")
    assert (tmp_path / "tokens/px.json").read_bytes() == old
    assert (tmp_path / "sinks/px.damaged").read_bytes() == marks
    with Opened(tmp_path, "one") as one:
        assert one.marks == {"px": b"newer"}


def test_a_record_that_was_removed_and_an_index_that_was_are_said(tmp_path: Path) -> None:
    """An old copy of the record is refused later, too; without the index everything that opens is used."""
    write(tmp_path, "one", records="px")
    old = (tmp_path / "tokens/px.json").read_bytes()
    write(tmp_path, "one", records="px tt")
    (tmp_path / "tokens/px.json").unlink()
    with Opened(tmp_path, "one") as one:
        assert one.records == {"tt": b"tt"}
    (tmp_path / "tokens/px.json").write_bytes(old)
    with Opened(tmp_path, "one") as one:
        assert one.state.unopened.keys() == {"px"}
    (tmp_path / "index").unlink()
    with Opened(tmp_path, "one") as one:
        assert (one.records, one.codes) == ({"px": b"px", "tt": b"tt"}, ["state_index"])
    with Opened(tmp_path, "one") as one:
        assert one.codes == []


def test_an_index_that_is_damaged_is_said_and_written_again(tmp_path: Path) -> None:
    """It takes no record with it."""
    write(tmp_path, "one", records="px")
    (tmp_path / "index").write_bytes(b"damaged")
    with Opened(tmp_path, "one") as one:
        assert (one.records, one.codes) == ({"px": b"px"}, ["state_index"])
    with Opened(tmp_path, "one") as one:
        assert one.codes == []


def test_a_write_in_clear_ends_the_index(tmp_path: Path) -> None:
    """A key that comes back later finds files in clear that are ours."""
    write(tmp_path, "one", records="px")
    write(tmp_path, "clear", records="new")
    assert not (tmp_path / "index").exists()
    with Opened(tmp_path, "one") as one:
        assert one.records.keys() == {"px", "new"}
        assert one.state.outdated == {"new"}


def test_a_damaged_record_in_clear_is_set_aside_and_no_other_is_taken_for_it(tmp_path: Path) -> None:
    """`engine.records.store` finds the damage."""
    write(tmp_path, "clear", records="px tt", marks="px")
    with Opened(tmp_path, "one") as one:
        one.state.set_aside(tmp_path / "tokens/px.json")
        one.state.set_aside(tmp_path / "sinks/px.json")
        assert (one.state.outdated, one.state.outdated_marks) == ({"tt"}, set())
        one.state.save_index()
    (tmp_path / "tokens/px.json").write_bytes(b"px")
    with Opened(tmp_path, "one") as one:
        assert one.state.unopened.keys() == {"px"}


def test_a_state_that_went_back_within_one_boot_is_said(tmp_path: Path) -> None:
    """Not where a key is wrong: nothing is known then."""
    place, witness = tmp_path / "state", tmp_path / "writes"
    with Opened(place, "one", WriteNumbers(witness, "boot")) as one:
        one.state.save("px", b"px")
    copy = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    with Opened(place, "one", WriteNumbers(witness, "boot")) as one:
        assert one.codes == []
        one.state.save("px", b"newer")
    for path, content in copy.items():
        path.write_bytes(content)
    with Opened(place, "two", WriteNumbers(witness, "boot")) as one:
        assert "state_went_back" not in one.codes
    with Opened(place, "one", WriteNumbers(witness, "boot")) as one:
        assert one.codes == ["state_went_back"]
    with Opened(place, "one", WriteNumbers(witness, "another boot")) as one:
        assert one.codes == []


@pytest.mark.parametrize("at", ["start", "end", "between"])
def test_an_index_that_cannot_be_written_is_tried_again(tmp_path: Path, at: str) -> None:
    """A full disk; the records are there all the same."""
    sealer = SEALERS["one"]

    class Full(StateDirectory):
        full = at == "start"

        def save_part(self, name: str, content: bytes | None) -> None:
            if self.full:
                raise StoreError("no space")
            super().save_part(name, content)

    backend = Full(tmp_path, sealer)
    state = SealedState(backend, sealer)
    assert [list(state.files()), list(state.marks())] == [[], []]
    state.save("px", b"px")
    assert state.index_seconds() is not None
    if at == "between":
        backend.full = True
        with pytest.raises(StoreError):
            state.save_index()
        assert state.index_seconds() is not None
    backend.full = at == "end"
    state.close()
    with Opened(tmp_path, "one") as one:
        assert (one.records, one.codes) == ({"px": b"px"}, [])


@pytest.mark.parametrize("key", ["clear", "one"])
def test_a_record_that_cannot_be_read_now_is_kept_where_it_is_asked_for(tmp_path: Path, key: str) -> None:
    """Else what is saved replaces it, as ever."""
    write(tmp_path, key, records="px tt")
    with Opened(tmp_path, key) as one:
        one.state.backend.unread[tmp_path / "tokens/px.json"] = "Input/output error"  # type: ignore[index]
        one.state.unread = {"px": tmp_path / "tokens/px.json"}
        one.state.keep_unread("px")
        one.state.keep_unread("tt")
        assert one.state.unopened.keys() == {"px"}
        assert "Input/output error" in one.state.unopened["px"]
        with pytest.raises(StoreError, match="cannot be opened"):
            one.state.save("px", b"newer")
        one.state.save("tt", b"newer")


def test_a_disk_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """docs/promises.md 62: the index is written in a thread that nobody waits for."""
    released, began = threading.Event(), threading.Event()

    class Hanging(StateDirectory):
        hangs = False

        def save_part(self, name: str, content: bytes | None) -> None:
            if self.hangs:
                began.set()
                released.wait()
            super().save_part(name, content)

    backend = Hanging(tmp_path, SEALERS["one"])
    state = SealedState(backend, SEALERS["one"])
    assert [list(state.files()), list(state.marks())] == [[], []]
    state.save("px", b"px")
    backend.hangs = True
    state.close()
    assert began.is_set()
    with pytest.raises(StoreError, match="still hangs"):
        state.save_index()
    with Opened(tmp_path, "one") as one:  # the lock is free
        assert one.records == {"px": b"px"}
    released.set()


def test_an_index_that_cannot_be_read_does_not_stop_a_start(tmp_path: Path) -> None:
    """A directory in its place."""
    write(tmp_path, "one", records="px")
    (tmp_path / "index").unlink()
    (tmp_path / "index").mkdir()
    with Opened(tmp_path, "one") as one:
        assert (one.records, one.codes) == ({"px": b"px"}, ["state_index"])
    with Opened(tmp_path, "back") as one:
        assert (one.records, one.codes) == ({"px": b"px"}, ["state_in_clear"])
