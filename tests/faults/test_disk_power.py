"""Power cuts: whatever the disk had not promised to keep is gone, after any of the daemon's calls.

A filesystem of our own remembers the calls of a real daemon. For each prefix of them a disk is made as a power cut
could have left it, and the daemon is started on it.
"""

import base64
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.behaviour.files.matrix import TEMPORARY
from tests.daemon.harness import Home, until
from tests.daemon.tables import DAEMON, PARTNER, PX
from tests.faults.files_fuse import ROOT
from tests.faults.files_mounted import fuse
from tests.faults.needs import when_asked_for
from tests.faults.sink_reports import another_second, mint

pytestmark = when_asked_for
ON_DISK = DAEMON.replace('"state"', '"fs/var/state"')
TABLES = [table.replace("out/", "fs/") for table in (PX, PARTNER)]
# What a disk may have kept of that which nobody had synced: nothing, only names (the zero-length file of old), only
# data, everything.
CUTS = {"nothing": (False, False), "names": (True, False), "data": (False, True), "everything": (True, True)}


@dataclass
class Inode:
    """What it holds, and what of that is sure to survive."""

    mode: int
    data: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    names: dict[str, int] = field(default_factory=dict)
    synced_names: dict[str, int] = field(default_factory=dict)

    def sync(self) -> None:
        self.synced, self.synced_names = bytes(self.data), dict(self.names)


class Disk:
    """The calls, one after the other."""

    def __init__(self) -> None:
        self.inodes = {ROOT: Inode(stat.S_IFDIR | 0o755)}

    def do(self, call: str, *given: Any) -> None:
        if call == "create":
            directory, name, number, mode = given
            self.inodes[number] = Inode(mode)
            self.inodes[directory].names[name] = number
        elif call == "mode":
            self.inodes[given[0]].mode = given[1]
        elif call == "truncate":
            del self.inodes[given[0]].data[given[1] :]
        elif call == "write":
            number, offset, data = given
            written = base64.b64decode(data)
            self.inodes[number].data[offset : offset + len(written)] = written
        elif call == "fsync":
            self.inodes[given[0]].sync()
        elif call == "rename":
            directory, old, target, new = given
            self.inodes[target].names[new] = self.inodes[directory].names.pop(old)
        elif call == "unlink":
            del self.inodes[given[0]].names[given[1]]

    def after(self, *, names: bool, data: bool, number: int = ROOT) -> Iterator[tuple[str, int, bytes | None]]:
        """What is found after a cut: path, mode, content (None: a directory)."""
        inode = self.inodes[number]
        for name, child in (inode.names if names else inode.synced_names).items():
            found = self.inodes[child]
            if stat.S_ISDIR(found.mode):
                yield name, found.mode, None
                for path, mode, content in self.after(names=names, data=data, number=child):
                    yield f"{name}/{path}", mode, content
            else:
                yield name, found.mode, bytes(found.data) if data else found.synced


def put(place: Path, found: list[tuple[str, int, bytes | None]]) -> None:
    """Make a directory hold this."""
    for name, mode, content in found:
        if content is None:
            (place / name).mkdir()
        else:
            (place / name).write_bytes(content)
        (place / name).chmod(stat.S_IMODE(mode))


def clear(place: Path) -> None:
    for path in sorted(place.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def recorded(home: Home) -> tuple[list[list[Any]], int, list[str]]:
    """The calls of a daemon's first start and of one refresh, where the refresh begins, and the tokens before and
    after it."""
    place = home.path / "fs"
    place.mkdir()
    home.write(*TABLES, daemon=ON_DISK)
    with fuse(place) as filesystem:
        daemon = home.start(wrap=filesystem.wrap).settled()
        old = daemon.lease("partner")["access_token"]
        begin = len(filesystem.log)
        new = mint(daemon)["access_token"]
        until(lambda: filesystem.see(place / "partner.jwt").read_text() == new, "the file")
        until(lambda: daemon.get("/readyz").status == 200, "readyz")
        assert daemon.end() == 0
        return filesystem.log, begin, [old, new]


def test_a_power_cut_at_any_moment_leaves_the_old_or_the_new_token(home: Home) -> None:
    """P1, P2, docs/promises.md 56: of files and of the state; what a sink holds was saved before, and a start serves it
    without a request."""
    log, begin, (old, new) = recorded(home)
    disk, proven = Disk(), set()
    for count, (call, *given) in enumerate(log, 1):
        disk.do(call, *given)
        if count < begin:
            continue
        for kept, (names, data) in CUTS.items():
            found = sorted(disk.after(names=names, data=data))
            held = {name: content for name, _, content in found}
            where = f"after {count} of {len(log)} calls, of what was not synced {kept} survived"
            assert held["partner.jwt"] in (old.encode(), new.encode()), where
            saved = json.loads(held["var/state/tokens/partner.json"] or b"")
            if held["partner.jwt"] == new.encode():
                assert new in json.dumps(saved), f"{where}: published before it was saved"
            # All others of its kind differ in a temporary's name.
            kind = tuple(
                "" if TEMPORARY.fullmatch(Path(name).name) else f"{name} {content!r}" for name, _, content in found
            )
            if kind not in proven:
                proven.add(kind)
                put(home.path / "fs", found)
                whole_at_the_next_start(home, new if new in json.dumps(saved) else old)
                clear(home.path / "fs")
    assert len(proven) > 5, "cuts on both sides of what matters"


def kind_of(found: list[tuple[str, int, bytes | None]]) -> tuple[str, ...]:
    """What makes a difference: not how a temporary is called."""
    return tuple("" if TEMPORARY.fullmatch(Path(name).name) else f"{name} {content!r}" for name, _, content in found)


def whole_at_the_next_start(home: Home, token: str) -> None:
    daemon = home.start().settled()
    assert daemon.lease("partner")["access_token"] == token
    assert (home.path / "fs" / "partner.jwt").read_text() == token
    assert (home.path / "fs" / "bot.env").read_text() == f"JWT_TOKEN={daemon.lease('px')['access_token']}\n"
    assert home.requests("projectx") == 1
    assert not [path for path in home.path.rglob("*") if TEMPORARY.fullmatch(path.name)]
    assert daemon.end() == 0


def test_what_a_first_start_has_saved_survives_a_power_cut(home: Home) -> None:
    """docs/promises.md 56: the new directories, too, and not only the files in them."""
    log, begin, (old, _) = recorded(home)
    disk = Disk()
    for call, *given in log[:begin]:
        disk.do(call, *given)
    for kept, (names, data) in CUTS.items():
        held = {name: content for name, _, content in disk.after(names=names, data=data)}
        assert old.encode() in (held.get("var/state/tokens/partner.json") or b""), kept
        assert held["partner.jwt"] == old.encode(), kept
    put(home.path / "fs", sorted(disk.after(names=False, data=False)))
    whole_at_the_next_start(home, old)


def test_a_disk_that_lied_is_found_out_at_the_next_start(home: Home) -> None:
    """docs/promises.md 45: fsync said yes, and the files are empty. They are set aside and made again, and the log
    says so; what was kept before is not touched."""
    log, begin, (_, new) = recorded(home)
    disk = Disk()
    for count, (call, *given) in enumerate(log, 1):
        if call != "fsync" or count <= begin:
            disk.do(call, *given)
    found = sorted(disk.after(names=True, data=False))
    held = {name: content for name, _, content in found}
    assert held["partner.jwt"] == held["var/state/tokens/partner.json"] == b""
    put(home.path / "fs", found)
    another_second()
    daemon = home.start().settled()
    assert daemon.log("state.damaged")
    assert daemon.lease("partner")["access_token"] != new
    assert (home.path / "fs" / "partner.jwt").read_text() == daemon.lease("partner")["access_token"]
    assert (home.path / "fs" / "var" / "state" / "tokens" / "partner.damaged").read_bytes() == b""
    assert home.requests("projectx") == 1
