"""The state in systemd's file-descriptor store: a memfd, written so that a kill at any moment leaves it whole."""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tokend.state import fdstore
from tokend.state.fdstore import DescriptorStore
from tokend.values.errors import StateLockedError, StoreError


class Keeper:
    """As much of a `Notifier` as the store wants; keeps a copy, as systemd does."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self.said: list[str] = []

    def store(self, name: str, descriptor: int) -> None:
        self.said.append(f"store {name}")
        self.kept.append(os.dup(descriptor))

    def drop(self, name: str) -> None:
        self.said.append(f"drop {name}")

    def passed(self) -> list[int]:
        """What the next process gets: copies of its own."""
        return [os.dup(one) for one in self.kept]


@pytest.fixture
def keeper() -> Iterator[Any]:
    """One that closes what it kept."""
    one = Keeper()
    yield one
    for descriptor in one.kept:
        os.close(descriptor)


def contents(store: DescriptorStore) -> dict[str, bytes]:
    return {str(path): content for path, content in store.files()}


def test_records_and_salt_come_back_and_nothing_is_on_the_disk(tmp_path: Path, keeper: Any) -> None:
    """After an end of any kind: the same records, the same fingerprints; of files there is the lock alone."""
    first = DescriptorStore(tmp_path, notifier=keeper)
    first.save("a", b"a-fake-record")
    first.save("b", b"another" * 1000)
    first.save("a", b"a-newer-record")
    first.save("gone", b"soon")
    first.set_aside(Path("gone"))
    first.set_aside(Path("never-there"))
    fingerprint = first.fingerprint(b"a-fake-token")
    first.close()
    again = DescriptorStore(tmp_path, notifier=keeper, stored=keeper.passed())
    assert contents(again) == {"a": b"a-newer-record", "b": b"another" * 1000}
    assert again.fingerprint(b"a-fake-token") == fingerprint
    again.set_aside(Path("b"))
    assert contents(again) == {"a": b"a-newer-record"}
    # What came back is in systemd's hands already.
    assert keeper.said == ["drop tokend-state", "store tokend-state"]
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    again.close()


def test_marks_of_sinks_are_in_the_memory_too(tmp_path: Path, keeper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come back apart from the records; nothing of them is on the disk."""
    first = DescriptorStore(tmp_path, notifier=keeper)
    first.save("a", b"a-fake-record")
    for name in ("a", "b.c", "d"):
        first.save_marks(name, f"marks of {name}".encode())
    first.save_marks("d", None)
    first.save_marks("never", None)
    first.close()
    again = DescriptorStore(tmp_path, notifier=keeper, stored=keeper.passed())
    assert contents(again) == {"a": b"a-fake-record"}
    assert {path.stem: content for path, content in again.marks()} == {"a": b"marks of a", "b.c": b"marks of b.c"}
    again.set_aside(next(path for path, _ in again.marks() if path.stem == "b.c"))
    assert [path.stem for path, _ in again.marks()] == ["a"]

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(StoreError, match="marks of a cannot be kept in memory: No space"):
            again.save_marks("a", b"new")
    assert [content for _, content in again.marks()] == [b"marks of a"]
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    again.close()


def test_one_instance_holds_the_directory(tmp_path: Path, keeper: Any) -> None:
    """docs/promises.md 76, as with a state on the disk."""
    first = DescriptorStore(tmp_path, notifier=keeper)
    with pytest.raises(StateLockedError, match=f"process {os.getpid()}"):
        DescriptorStore(tmp_path, notifier=keeper, stored=keeper.passed())
    first.close()


def test_a_kill_between_any_two_writes_leaves_the_old_or_the_new(
    tmp_path: Path, keeper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write of a save in turn is the last one, torn or whole; what comes back is one of the two states."""
    first = DescriptorStore(tmp_path, notifier=keeper)
    first.save("a", b"old" * 3000)
    first.close()
    whole, seen = os.pwrite, set()
    for fatal in range(12):
        store = DescriptorStore(tmp_path, notifier=keeper, stored=keeper.passed())
        before = contents(store)["a"]
        wanted = b"%d-new" % fatal * (fatal * 700 + 1)
        left = [fatal // 2]

        def dying(descriptor: int, data: bytes, offset: int, left: list[int] = left, torn: int = fatal % 2) -> int:
            if left[0] == 0:
                if torn and offset:  # the header is one page: whole or not at all
                    whole(descriptor, bytes(data)[: len(data) // 2], offset)
                raise InterruptedError("killed")
            left[0] -= 1
            return whole(descriptor, data, offset)

        with monkeypatch.context() as patch, suppress(StoreError):
            patch.setattr(os, "pwrite", dying)
            store.save("a", wanted)
        store.close()
        back = DescriptorStore(tmp_path, notifier=keeper, stored=keeper.passed())
        assert contents(back)["a"] in (before, wanted)
        seen.add(contents(back)["a"] == wanted)
        back.close()
    assert seen == {False, True}


def test_a_full_memory_keeps_the_old_record(tmp_path: Path, keeper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`StoreError`, as from a full disk; then it goes on."""
    store = DescriptorStore(tmp_path, notifier=keeper)
    store.save("a", b"old")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(StoreError, match="state of a cannot be kept in memory: No space"):
            store.save("a", b"new")
    assert contents(store) == {"a": b"old"}
    store.save("a", b"new")
    assert contents(store) == {"a": b"new"}
    store.close()


def test_the_memory_stays_small_and_keeps_nothing_that_was_dropped(tmp_path: Path, keeper: Any) -> None:
    """A thousand saves take no more room than three images; a forgotten token is not to be found there."""
    store = DescriptorStore(tmp_path, notifier=keeper)
    store.save("other", bytes(5000))
    for number in range(1000):
        store.save("a", b"<a-fake-token-%d>" % number * (number % 7 + 1))
        size = os.fstat(keeper.kept[0]).st_size
        assert size < 4096 + 3 * 6000
        assert b"<a-fake-token-%d>" % (number - 1) not in os.pread(keeper.kept[0], size, 0)
    store.close()


@pytest.mark.parametrize("content", [b"", b"somebody else's", bytes(9000)])
def test_what_is_not_ours_is_dropped_and_begun_again(tmp_path: Path, keeper: Any, content: bytes) -> None:
    """A damaged or a strange descriptor costs a login, not the service."""
    with tempfile.TemporaryFile() as strange:
        strange.write(content)
        strange.flush()
        store = DescriptorStore(tmp_path, notifier=keeper, stored=[os.dup(strange.fileno())])
    assert contents(store) == {}
    assert keeper.said == [f"drop {fdstore.NAME}", f"store {fdstore.NAME}"]
    store.close()


def test_a_flipped_bit_is_noticed(tmp_path: Path, keeper: Any) -> None:
    """The image's digest."""
    store = DescriptorStore(tmp_path, notifier=keeper)
    store.save("a", b"a-fake-record")
    store.close()
    memory = keeper.kept[0]
    size = os.fstat(memory).st_size
    last = os.pread(memory, 1, size - 1)
    os.pwrite(memory, bytes([last[0] ^ 1]), size - 1)
    again = DescriptorStore(tmp_path, notifier=keeper, stored=keeper.passed())
    assert contents(again) == {}
    again.close()


def test_a_directory_that_cannot_be_used_and_a_systemd_that_is_not_there(tmp_path: Path) -> None:
    """`StoreError` with the reason; the lock is free again."""
    from tokend.service_manager.notify import Notifier  # under a service manager this test must send nothing

    assert "NOTIFY_SOCKET" not in os.environ
    with pytest.raises(StoreError, match=r"\$NOTIFY_SOCKET"):
        DescriptorStore(tmp_path, notifier=Notifier())
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be used"):
        DescriptorStore(tmp_path / "file", notifier=Notifier())


def test_descriptors_are_sent_with_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FDSTORE=1 with FDNAME and the descriptor itself in one datagram; FDSTOREREMOVE."""
    from tokend.service_manager.notify import Notifier

    short = Path(tempfile.mkdtemp(prefix="tk-"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(short / "n"))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(short / "n"))
        notifier = Notifier()
        with tempfile.TemporaryFile() as file:
            notifier.store("tokens", file.fileno())
            inode = os.fstat(file.fileno()).st_ino
        text, (descriptor,), *_ = socket.recv_fds(systemd, 4096, 4)
        assert (text, os.fstat(descriptor).st_ino) == (b"FDSTORE=1\nFDNAME=tokens", inode)
        os.close(descriptor)
        notifier.drop("tokens")
        assert systemd.recv(4096) == b"FDSTOREREMOVE=1\nFDNAME=tokens"
        assert notifier._systemd is not None
        notifier._systemd.socket.close()
    (short / "n").unlink()
    short.rmdir()
