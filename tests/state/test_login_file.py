"""A login file and its lock: who may use it, and that a lock is neither leaked nor given up too early."""

import os
import threading
from pathlib import Path

import pytest

from tests.files.children import STRANGER, needs_root
from tokend.state.login_file import LoginFile, LoginLock, login_file_fault
from tokend.state.sealing import Sealer, StateKey, UnopenedError
from tokend.values.errors import StoreError

CLIENT = ("https://login.example", "fake-client")
KEY = StateKey(b"a-planted-fake-key-of-32-bytes-1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the login is kept."""
    tmp_path.chmod(0o700)
    return tmp_path / "login"


def fifo(path: Path) -> bool:
    os.mkfifo(path)
    return True


def at(path: Path, key: StateKey | None = None, client: tuple[str, str] = CLIENT) -> LoginFile:
    return LoginFile(path, Sealer(key), client)


def test_what_was_written_is_read_and_nobody_else_may(path: Path) -> None:
    """None before the first write."""
    assert at(path).read() is None
    at(path).write(1, b"fake")
    opened = at(path).read()
    assert opened is not None
    assert opened.content == b"fake"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_sealed_file_is_bound_to_server_client_and_number(path: Path) -> None:
    """A new nonce for every write, beside the ciphertext; under another client id it does not open."""
    at(path, KEY).write(7, b"planted-fake")
    first = path.read_bytes()
    at(path, KEY).write(7, b"planted-fake")
    assert path.read_bytes()[32:44] != first[32:44]
    assert b"planted-fake" not in first
    opened = at(path, KEY).read()
    assert opened is not None
    assert (opened.number, opened.content) == (7, b"planted-fake")
    for other in (
        at(path),
        at(path, StateKey(bytes(32))),
        at(path, KEY, (CLIENT[0], "other")),
        at(path, KEY, ("x", "y")),
    ):
        with pytest.raises(UnopenedError, match=str(path)):
            other.read()
    path.write_bytes(first[:24] + (9).to_bytes(8, "big") + first[32:])
    with pytest.raises(UnopenedError):
        at(path, KEY).read()


def test_a_content_in_clear_is_taken_over_by_a_key(path: Path) -> None:
    """The next write seals it."""
    at(path).write(1, b"planted-fake")
    opened = at(path, KEY).read()
    assert opened is not None
    assert opened.content == b"planted-fake"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.chmod(0o640), "chmod 600"),
        (lambda path: path.chmod(0o606), "chmod 600"),
        (lambda path: path.rename(path.with_name("x")) and path.symlink_to("x"), "it is a link"),
        (lambda path: path.unlink() or path.mkdir(), "no regular file"),
        (lambda path: path.replace(path.with_name("x")) and fifo(path), "no regular file"),
        (lambda path: path.parent.chmod(0o777), "every user may write"),
    ],
    ids=range(6),
)
def test_a_file_that_others_decide_is_neither_read_nor_written(path: Path, spoil: object, words: str) -> None:
    """Nor locked. The message names it and says what to do."""
    at(path).write(1, b"fake")
    spoil(path)  # type: ignore[operator]  # one of the functions above
    for call in (at(path).read, lambda: at(path).write(2, b"new"), LoginLock(at(path)).take):
        with pytest.raises(StoreError, match=words) as raised:
            call()
        assert str(path) in str(raised.value)


@pytest.mark.parametrize("name", ["login", "login.lock", "."])
def test_a_strangers_file_lock_or_directory_is_refused(path: Path, name: str) -> None:
    """Daemons of one user share it."""
    needs_root()
    at(path).write(1, b"fake")
    lock = LoginLock(at(path))
    assert lock.take()
    lock.release()
    os.chown(path.parent / name, STRANGER, STRANGER)
    with pytest.raises(StoreError, match="belongs to"):
        LoginLock(at(path)).take()


def test_a_link_as_the_lock_is_refused(path: Path) -> None:
    """It could make a file elsewhere."""
    path.with_name("login.lock").symlink_to(path.with_name("elsewhere"))
    with pytest.raises(StoreError, match="it is a link"):
        LoginLock(at(path)).take()
    assert not path.with_name("elsewhere").exists()


def test_a_network_file_system_and_a_missing_directory_are_faults(path: Path) -> None:
    """The table of mounts says so."""
    table = f"22 1 253:1 / / rw - ext4 /dev/vda rw\n30 22 0:27 / {path.parent} rw - nfs4 server:/home rw\n"
    assert "nfs4" in str(login_file_fault(path, table))
    assert login_file_fault(path, table.replace("nfs4", "xfs")) is None
    assert "there is no directory" in str(login_file_fault(path.parent / "missing" / "login"))


def test_one_holds_the_lock(path: Path) -> None:
    """Until it releases it; also two in one process."""
    first, second = LoginLock(at(path)), LoginLock(at(path))
    assert first.take()
    assert not second.take()
    first.release()
    first.release()
    assert second.take()
    second.release()


def test_a_lock_on_a_file_that_was_removed_is_not_the_lock(path: Path) -> None:
    """The next one locks the file that has the name now."""
    first = LoginLock(at(path))
    assert first.take()
    path.with_name("login.lock").unlink()
    second, third = LoginLock(at(path)), LoginLock(at(path))
    assert second.take()
    assert not third.take()
    first.release()
    second.release()


def test_a_lock_that_comes_after_the_release_is_released(path: Path) -> None:
    """The call hung in a thread, and nobody waits for it any more."""
    late, other = LoginLock(at(path)), LoginLock(at(path))
    late.release()
    late.take()
    assert other.take()
    other.release()


def test_what_hangs_in_a_write_keeps_the_lock(path: Path) -> None:
    """A late write must overwrite nothing. The lock is free when it ends."""
    lock, other = LoginLock(at(path)), LoginLock(at(path))
    assert lock.take()
    inside, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with lock.kept():
            inside.set()
            go_on.wait(20)

    thread = threading.Thread(target=write)
    thread.start()
    assert inside.wait(20)
    lock.release()
    assert not other.take()
    go_on.set()
    thread.join()
    assert LoginLock(at(path)).take()
    with pytest.raises(StoreError, match="not locked any more"), lock.kept():
        pass


def test_a_write_that_was_reserved_uses_the_reserve(path: Path) -> None:
    """And leaves no temporary."""
    at(path).write(1, b"journal", reserve=100_000)
    assert [one.name for one in sorted(path.parent.iterdir())] == [".login.tokend-00000000", "login"]
    at(path).write(2, b"answer")
    assert [one.name for one in sorted(path.parent.iterdir())] == ["login"]
    assert path.read_bytes() == b"answer"
