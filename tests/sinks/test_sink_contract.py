"""Every kind of sink passes the same tests: all or nothing, exact, quiet, and nobody else's file."""

import inspect
import os
import re
import stat
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from tests.files.children import (
    STRANGER,
    acting_as,
    in_own_mounts,
    names,
    needs_root,
    public_directory,
    supports_acl,
)
from tests.sinks.leases import PLANTED, InlineRuntime, ended, lease, sink
from tokend.files.ownership import Ownership
from tokend.kinds import SINKS
from tokend.plugin.sink import Sink
from tokend.sinks.files.base import FileSink
from tokend.values.errors import SinkError

# The keys that make a sink of each kind besides its path; a kind may have several ways to be.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "json": ("json", {}),
    "json-tt": ("json", {"layout": "tt"}),
    "dotenv": ("dotenv", {"key": "JWT_TOKEN", "expires_key": "JWT_EXPIRES", "mode": "0600", "symlink": "refuse"}),
    "raw": ("raw", {}),
    **{
        f"patch-{form}": (
            "patch",
            {"format": form, "set": {pointer: "{{ access_token }}"}, "mode": "0600", "symlink": "refuse"},
        )
        for form, pointer in (
            ("json", "/a/b"),
            ("yaml", "/a/b"),
            ("toml", "/a/b"),
            ("ini", "/a/b"),
            ("netrc", "/a.example/password"),
        )
    },
    "template": ("template", {"template": "token={{ access_token }}\n"}),
}
# Their target is no file: tests/sinks/files/test_directory.py.
OF_SEVERAL_FILES = {"directory"}
SECOND = "planted-fake-second-token"


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Make a sink of each kind with further keys."""
    kind, keys = KINDS[request.param]
    return lambda path, **more: sink(kind, path, **{**keys, **more})


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """Set the umask, and put it back."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def said(error: BaseException) -> str:
    """All that an operator could ever see of an error."""
    return "".join(traceback.format_exception(error)) + repr(error)


def test_every_kind_is_in_the_suite() -> None:
    """A kind that is added to the table must be added here, or be one that is asked (tests/credentials) or remote."""
    kinds = SINKS.all()
    written = {kind for kind, model in kinds.items() if issubclass(model, FileSink)}
    assert {kind for kind, _ in KINDS.values()} | OF_SEVERAL_FILES == written
    asked = {kind for kind, model in kinds.items() if model.family == "served"}
    remote = {kind for kind, model in kinds.items() if model.family == "remote"}
    assert written | asked | remote == set(kinds)
    assert not written & asked


def test_a_sink_is_what_the_engine_expects(make: Callable[..., Any], tmp_path: Path) -> None:
    """`plugin.sink.Sink`, and its target is its path."""
    made = make(tmp_path / "file")
    assert isinstance(made.target, str)
    assert made.target == str(tmp_path / "file")
    assert made.required is True
    assert made.file_path == tmp_path / "file"
    assert made.family == "pushed"
    methods = {name for name in vars(Sink) if not name.startswith("_")}
    assert methods == {"write", "remove", "probe", "announce"}
    assert all(inspect.iscoroutinefunction(getattr(made.model, name)) for name in methods)


def test_a_file_sink_goes_to_its_thread_by_itself(make: Callable[..., Any], tmp_path: Path) -> None:
    """Nothing of it blocks the loop: it works in the thread that it asked for, once per call."""
    model, loops = make(tmp_path / "file", on_change=["true"]).model, threading.get_ident()
    worked = []

    class Watched(type(model)):  # type: ignore[misc]  # each kind has a class of its own
        def ownership(self) -> Ownership:
            worked.append(threading.get_ident())
            found: Ownership = super().ownership()
            return found

    class OneThread(InlineRuntime):
        async def run_in_thread(self, call: Callable[[], Any]) -> Any:
            self.calls += 1
            return await anyio.to_thread.run_sync(call)

    async def main() -> None:
        made, runtime = Watched.model_construct(**dict(model)), OneThread()
        await made.probe(runtime)
        assert await made.write(runtime, lease())
        assert not await made.write(runtime, lease())
        assert await made.remove(runtime)
        await made.announce(runtime)
        assert runtime.calls == 5

    anyio.run(main)
    assert worked
    assert loops not in worked


def test_without_on_change_no_thread_is_asked_for(make: Callable[..., Any], tmp_path: Path) -> None:
    """Ten thousand files are written at a start, and hardly any of them is announced."""
    runtime = InlineRuntime()
    ended(make(tmp_path / "file").model.announce(runtime))
    assert runtime.calls == 0


def test_a_token_is_written_and_written_over(make: Callable[..., Any], tmp_path: Path) -> None:
    """True each time it changed; nothing but the file is left in the directory."""
    made, path = make(tmp_path / "file"), tmp_path / "file"
    made.probe()
    assert made.write(lease()) is True
    assert PLANTED.encode() in path.read_bytes()
    assert made.write(lease(SECOND)) is True
    assert SECOND.encode() in path.read_bytes()
    assert PLANTED.encode() not in path.read_bytes()
    assert names(tmp_path) == {"file"}


def test_equal_content_is_not_rewritten(make: Callable[..., Any], tmp_path: Path) -> None:
    """False, and not even the times of the file change."""
    made = make(tmp_path / "file")
    made.write(lease())
    before = (tmp_path / "file").stat()
    assert made.write(lease()) is False
    made.probe()
    after = (tmp_path / "file").stat()
    # Not the whole: reading the file moves its access time.
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o777])
@pytest.mark.parametrize("mode", ["0600", "0640", "0666"])
def test_the_mode_is_exact_under_any_umask(
    make: Callable[..., Any], tmp_path: Path, umask: Callable[[int], int], mask: int, mode: str
) -> None:
    """docs/promises.md 59: for a new file and for one that was friendlier."""
    path = tmp_path / "file"
    umask(mask)
    make(path, mode=mode).write(lease())
    assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
    path.chmod(0o777)
    make(path, mode=mode).write(lease())
    assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """docs/sinks.md: 0600 by default, of every kind."""
    for name, (kind, keys) in KINDS.items():
        sink(kind, tmp_path / name, **{key: value for key, value in keys.items() if key != "mode"}).write(lease())
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_owner_and_group_are_set_by_name_or_number(make: Callable[..., Any], tmp_path: Path) -> None:
    """Numbers are for containers that do not know the names."""
    needs_root()
    path = tmp_path / "file"
    make(path, owner=str(STRANGER), group="daemon", mode="0640").write(lease())
    assert (path.stat().st_uid, path.group(), stat.S_IMODE(path.stat().st_mode)) == (STRANGER, "daemon", 0o640)


def test_a_name_that_this_machine_does_not_know_is_reported(make: Callable[..., Any], tmp_path: Path) -> None:
    """Nothing is written to the wrong owner instead."""
    for keys in ({"owner": "no-such-user"}, {"group": "no-such-group"}):
        made = make(tmp_path / "file", **keys)
        for call in (made.probe, lambda made=made: made.write(lease())):
            with pytest.raises(SinkError, match="is not known on this machine"):
                call()
    assert names(tmp_path) == set()


def test_an_owner_that_cannot_be_given_is_reported_with_advice(make: Callable[..., Any]) -> None:
    """docs/sinks.md: the sink fails with the advice to write in place, and leaves the file alone."""
    with public_directory() as directory:
        path = directory / "file"
        make(path).write(lease())
        before = path.read_bytes()
        needs_root()
        os.chown(directory, STRANGER, STRANGER)
        os.chown(path, STRANGER, STRANGER)
        with acting_as(STRANGER), pytest.raises(SinkError, match=r'fchown.*write = "in-place"') as refused:
            make(path, owner="0").write(lease(SECOND))
        assert str(path) in str(refused.value)
        with (
            acting_as(STRANGER),
            pytest.raises(SinkError, match=f"fchown.*user {STRANGER} is not in group root: `adduser"),
        ):
            make(path, group="0").write(lease(SECOND))
        assert path.read_bytes() == before
        assert names(directory) == {"file"}


def test_the_token_can_be_taken_away(make: Callable[..., Any], tmp_path: Path) -> None:
    """on_expiry = "remove": True once, then False; no file and no directory are no error."""
    made, path = make(tmp_path / "file"), tmp_path / "file"
    assert made.remove() is False
    made.write(lease())
    assert made.remove() is True
    assert not path.exists() or PLANTED.encode() not in path.read_bytes()
    assert made.remove() is False
    assert make(tmp_path / "nowhere" / "file").remove() is False


def test_probe_reports_what_a_write_would(make: Callable[..., Any], tmp_path: Path) -> None:
    """A directory that is not there; and one more thing: it writes nothing."""
    made = make(tmp_path / "nowhere" / "file")
    for call in (made.probe, lambda: made.write(lease())):
        with pytest.raises(SinkError, match="nowhere does not exist"):
            call()
    (tmp_path / "nowhere").mkdir()
    made.probe()
    assert names(tmp_path / "nowhere") == set()


def test_probe_reports_a_directory_that_is_not_writable(make: Callable[..., Any]) -> None:
    """docs/promises.md 42: path and call; the log and `status` show it at start."""
    with public_directory() as directory, acting_as(STRANGER):
        made = make(directory / "file")
        for call in (made.probe, lambda: made.write(lease())):
            with pytest.raises(SinkError, match=re.escape(str(directory)) + r".*\((access|open.*)\)"):
                call()


def test_an_error_on_the_way_names_the_file_and_the_part_of_its_path_that_failed(make: Callable[..., Any]) -> None:
    """Status shows many files: "/home: Permission denied" does not say which one is not written."""
    with public_directory() as directory:
        closed = directory / "closed"
        closed.mkdir(mode=0o700)
        (closed / "inner").mkdir()
        made = make(closed / "inner" / "file")
        with acting_as(STRANGER):
            for call in (made.probe, lambda: made.write(lease())):
                with pytest.raises(
                    SinkError, match=rf"{closed}/inner/file: {closed}/inner: Permission denied \(lstat\)"
                ):
                    call()


def test_probe_sweeps_what_a_crash_left(make: Callable[..., Any], tmp_path: Path) -> None:
    """docs/promises.md 55, 113: also beside the target of a link that is followed."""
    (tmp_path / "real").mkdir()
    made = make(tmp_path / "real" / "file")
    made.write(lease())
    for _ in range(2):
        (tmp_path / "real" / ".file.tokend-0123abcd").write_text(PLANTED)
        made.probe()
        assert names(tmp_path / "real") == {"file"}
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to("real/file")
        made = make(tmp_path / "link", symlink="follow")


def test_a_link_is_refused_untouched(make: Callable[..., Any], tmp_path: Path) -> None:
    """docs/promises.md 47: by write, remove and probe."""
    (tmp_path / "target").write_bytes(b"theirs")
    (tmp_path / "file").symlink_to("target")
    made = make(tmp_path / "file", symlink="refuse")
    for call in (lambda: made.write(lease()), made.remove, made.probe):
        with pytest.raises(SinkError, match="symbolic link"):
            call()
    assert (tmp_path / "file").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"theirs"


def test_a_link_is_followed_or_replaced_when_asked(make: Callable[..., Any], tmp_path: Path) -> None:
    """The link stays, or the target does."""
    (tmp_path / "target").write_bytes(b"")
    (tmp_path / "file").symlink_to("target")
    assert make(tmp_path / "file", symlink="follow").write(lease())
    assert (tmp_path / "file").is_symlink()
    assert PLANTED.encode() in (tmp_path / "target").read_bytes()
    assert make(tmp_path / "file", symlink="replace").write(lease(SECOND))
    assert not (tmp_path / "file").is_symlink()
    assert PLANTED.encode() in (tmp_path / "target").read_bytes()
    assert SECOND.encode() in (tmp_path / "file").read_bytes()


def test_in_place_keeps_the_inode(make: Callable[..., Any], tmp_path: Path) -> None:
    """For single-file bind mounts: also when the token is taken away."""
    path = tmp_path / "file"
    path.touch(mode=0o600)
    made, inode = make(path, write="in-place"), path.stat().st_ino
    made.probe()
    assert made.write(lease()) is True
    assert made.write(lease()) is False
    assert made.write(lease(SECOND)) is True
    assert SECOND.encode() in path.read_bytes()
    assert made.remove() is True
    assert SECOND.encode() not in path.read_bytes()
    assert made.remove() is False
    assert path.stat().st_ino == inode
    assert names(tmp_path) == {"file"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_leaves_the_old_token_whole(kind: str, tmp_path: Path) -> None:
    """docs/promises.md 39: all or nothing, of every kind; the socket and other sinks know nothing of it."""
    code = (
        "import os, pathlib\n"
        "from tests.sinks.leases import lease, sink\nfrom tests.sinks.test_sink_contract import KINDS\n"
        "from tokend.values.errors import SinkError\n"
        f"kind, keys = KINDS[{kind!r}]\n"
        "path = pathlib.Path('place/file').absolute()\n"
        "made = sink(kind, path, **keys)\n"
        "made.write(lease())\n"
        "before = path.read_bytes()\n"
        "try: made.write(lease('planted-fake-' + 'x' * 30000))\n"
        "except SinkError as error: print(error)\n"
        "print(path.read_bytes() == before, os.listdir('place'))\n"
    )
    told, left = in_own_mounts("mkdir place; mount -t tmpfs -o size=16k none place", code, tmp_path).splitlines()
    assert told == f"{tmp_path}/place/file: No space left on device (write)"
    assert left == "True ['file']"


@pytest.mark.parametrize("kind", KINDS)
def test_a_bind_mounted_file_is_reported_with_advice(kind: str, tmp_path: Path) -> None:
    """docs/promises.md 51: EBUSY, what to do about it; and it works in place, also to take the token away."""
    mounts = "mkdir place; touch place/file mounted; chmod 600 mounted; mount --bind mounted place/file"
    code = (
        "import pathlib\n"
        "from tests.sinks.leases import PLANTED, lease, sink\nfrom tests.sinks.test_sink_contract import KINDS\n"
        "from tokend.values.errors import SinkError\n"
        f"kind, keys = KINDS[{kind!r}]\n"
        "path, mounted = pathlib.Path('place/file').absolute(), pathlib.Path('mounted')\n"
        "try: sink(kind, path, **keys).write(lease())\n"
        "except SinkError as error: print(error)\n"
        "made = sink(kind, path, **keys, write='in-place')\n"
        "made.probe()\n"
        "print(made.write(lease()), PLANTED in mounted.read_text(), made.remove(), PLANTED in mounted.read_text())\n"
    )
    told, done = in_own_mounts(mounts, code, tmp_path).splitlines()
    assert told.startswith(f"{tmp_path}/place/file: Device or resource busy (rename); set write = ")
    assert done == "True True True False"


def test_nothing_that_is_said_holds_the_token(make: Callable[..., Any], tmp_path: Path) -> None:
    """P4: not the sink, not its errors, whatever goes wrong with the file."""
    made = make(tmp_path / "file")
    made.write(lease())
    assert PLANTED not in repr(made) + str(made)
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    for path in ("directory", "link", "fifo", "nowhere/file"):
        for keys in ({}, {"write": "in-place"}):
            with pytest.raises(SinkError) as refused:
                make(tmp_path / path, **keys).write(lease())
            assert PLANTED not in said(refused.value)
            assert str(tmp_path) in str(refused.value)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("mode", 600), ("mode", "600"), ("mode", "0o600"), ("mode", "0800"), ("mode", "01600"), ("mode", "rw-------"),
        ("owner", ""), ("owner", "99999999999"), ("owner", 0), ("group", "4294967295"), ("symlink", "yes"),
        ("write", "atomic"), ("write_mode", "in-place"), ("on_change", []), ("on_change", "reload it"),
        ("signal", {"pid_file": "/x", "signal": "SIGNOTHING"}), ("signal", {"signal": "HUP"}),
        ("systemd", {"unit": "--help"}), ("systemd", {"unit": "a.service", "action": "stop"}), ("nonsense", True),
        ("path", "/"), ("path", "/run/.."),
    ],
)  # fmt: skip
def test_a_wrong_key_is_an_error_before_anything_is_written(
    make: Callable[..., Any], tmp_path: Path, key: str, wrong: Any
) -> None:
    """docs/sinks.md: unknown keys, wrong types and bad modes are errors of the configuration."""
    with pytest.raises(ValidationError) as refused:
        make(**{"path": tmp_path / "file", key: wrong})
    assert len(refused.value.errors()) == 1


def test_readers_may_read_and_an_acl_that_is_lost_is_noticed(make: Callable[..., Any], tmp_path: Path) -> None:
    """Repaired like the mode; an ACL that the operator gave to a file without readers is no change."""
    if not supports_acl(tmp_path):
        pytest.skip("the filesystem has no ACLs")
    path = tmp_path / "file"
    made = make(path, mode="0600", readers=[f"user:{STRANGER}", "group:daemon"])
    made.write(lease())
    good, acl = made.stamp(), os.getxattr(path, "system.posix_acl_access")
    assert made.difference(lease(), {}, good) is None
    os.removexattr(path, "system.posix_acl_access")
    found = made.difference(lease(), {}, good)
    assert "its ACL or its mode has changed" in found.what
    assert ended(made.model.repair(InlineRuntime(), lease(), {}, good))
    assert os.getxattr(path, "system.posix_acl_access") == acl
    plain = make(path, mode="0600")
    assert plain.difference(lease(), {}, plain.stamp()) is None
    assert not plain.write(lease())


def test_readers_are_users_and_groups_by_name(make: Callable[..., Any], tmp_path: Path) -> None:
    """And need a mode of the file."""
    for wrong in ("bot", "other:bot", "user:"):
        with pytest.raises(ValidationError, match="a reader is"):
            make(tmp_path / "x", mode="0600", readers=[wrong])
    with pytest.raises(SinkError, match="user 'no-such-name' is not known"):
        make(tmp_path / "x", mode="0600", readers=["user:no-such-name"]).write(lease())
