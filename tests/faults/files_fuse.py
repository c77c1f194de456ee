"""A filesystem of the tests' own, in the memory of a process: it hangs, fails, writes short, remembers.

The process (this file, run as a program) is alone in a mount namespace, so that its mount is gone when it and those it
let in have ended, whatever happens. It speaks the kernel's protocol (linux/fuse.h, 7.31) and needs no library.
"""

import base64
import ctypes
import errno
import json
import os
import select
import stat
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

OPERATIONS = {
    1: "lookup", 2: "forget", 3: "getattr", 4: "setattr", 9: "mkdir", 10: "unlink", 11: "rmdir", 12: "rename",
    14: "open", 15: "read", 16: "write", 17: "statfs", 18: "release", 20: "fsync", 25: "flush", 26: "init",
    27: "opendir", 28: "readdir", 29: "releasedir", 30: "fsyncdir", 35: "create", 36: "interrupt", 45: "rename2",
}  # fmt: skip
HEADER, REPLY = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ")
SETATTR = struct.Struct("<IIQQQQQQIIIIIIII")
LARGEST_REQUEST = 1 << 20
ROOT = 1


@dataclass
class Node:
    """A file or a directory."""

    mode: int
    uid: int
    gid: int
    data: bytearray = field(default_factory=bytearray)
    children: dict[str, int] = field(default_factory=dict)


class Filesystem:
    """The nodes, what happened to them, and what shall go wrong."""

    def __init__(self, device: int) -> None:
        self.device = device
        self.nodes = {ROOT: Node(stat.S_IFDIR | 0o755, 0, 0)}
        self.log: list[list[Any]] = []
        self.hanging: set[str] = set()
        self.failing: dict[str, list[int | None]] = {}  # errno, how often (None: always)
        self.most_bytes: int | None = None
        self.held: dict[int, bytes] = {}

    def serve(self, request: bytes) -> None:
        """Answer one request, or keep it where its operation hangs."""
        _, code, unique, node, uid, gid, *_ = HEADER.unpack_from(request)
        name = OPERATIONS.get(code, "")
        name = {"rename2": "rename"}.get(name, name)
        if name == "interrupt":
            # A killed process need not wait: NFS lets it go, too.
            (waiting,) = struct.unpack_from("<Q", request, HEADER.size)
            if self.held.pop(waiting, None) is not None:
                self._reply(waiting, -errno.EINTR)
            return
        if name == "forget" or code == 42:
            return
        if name in self.hanging:
            self.held[unique] = request
            return
        if (fault := self.failing.get(name)) is not None:
            number, times = fault
            if times is not None:
                fault[1] = times - 1
                if times == 1:
                    del self.failing[name]
            self._reply(unique, -(number or 0))
            return
        answer: Callable[..., bytes] | None = getattr(self, f"_{name}", None)
        if not name or answer is None:
            self._reply(unique, -errno.ENOSYS)
            return
        try:
            self._reply(unique, 0, answer(node, request[HEADER.size :], uid, gid))
        except OSError as error:
            self._reply(unique, -(error.errno or errno.EIO))

    def release(self) -> None:
        """Nothing goes wrong any more, and who was kept waiting is answered."""
        self.hanging, self.failing, self.most_bytes = set(), {}, None
        waiting, self.held = self.held, {}
        for request in waiting.values():
            self.serve(request)

    def _reply(self, unique: int, error: int, data: bytes = b"") -> None:
        try:
            os.write(self.device, REPLY.pack(REPLY.size + len(data), error, unique) + data)
        except OSError as trouble:
            if trouble.errno != errno.ENOENT:  # it does not wait any more
                raise

    # -------------------------------------------------------------- looking

    def _attributes(self, number: int) -> bytes:
        node = self.nodes[number]
        size = len(node.data)
        links = 2 if stat.S_ISDIR(node.mode) else 1
        return struct.pack("<6Q10I", number, size, (size + 511) // 512, 0, 0, 0, 0, 0, 0, node.mode, links,
                           node.uid, node.gid, 0, 4096, 0)  # fmt: skip

    def _entry(self, number: int) -> bytes:
        return struct.pack("<QQQQII", number, 0, 0, 0, 0, 0) + self._attributes(number)

    def _child(self, directory: int, name: str) -> int:
        try:
            return self.nodes[directory].children[name]
        except KeyError:
            raise OSError(errno.ENOENT, name) from None

    def _init(self, *_: Any) -> bytes:
        return struct.pack("<IIIIHHIIHHI7I", 7, 31, 0, 0, 16, 12, 1 << 16, 1, 16, 0, 0, *[0] * 7)

    def _lookup(self, directory: int, data: bytes, *_: Any) -> bytes:
        return self._entry(self._child(directory, _name(data)))

    def _getattr(self, node: int, *_: Any) -> bytes:
        return struct.pack("<QII", 0, 0, 0) + self._attributes(node)

    def _open(self, *_: Any) -> bytes:
        return struct.pack("<QII", 0, 0, 0)

    _opendir = _open

    def _read(self, node: int, data: bytes, *_: Any) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", data)
        return bytes(self.nodes[node].data[offset : offset + size])

    def _readdir(self, node: int, data: bytes, *_: Any) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", data)
        out = b""
        for index, (name, number) in enumerate(list(self.nodes[node].children.items())[offset:], offset + 1):
            encoded = os.fsencode(name)
            entry = struct.pack("<QQII", number, index, len(encoded), stat.S_IFMT(self.nodes[number].mode) >> 12)
            entry += encoded + bytes(-len(encoded) % 8)
            if len(out) + len(entry) > size:
                break
            out += entry
        return out

    def _statfs(self, *_: Any) -> bytes:
        return struct.pack("<5Q10I", 1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096, 255, 4096, *[0] * 7)

    def _nothing(self, *_: Any) -> bytes:
        return b""

    _flush = _release = _releasedir = _nothing

    # -------------------------------------------------------------- changing

    def _new(self, directory: int, name: str, mode: int, uid: int, gid: int) -> int:
        number = max(self.nodes) + 1
        self.nodes[number] = Node(mode, uid, gid)
        self.nodes[directory].children[name] = number
        self.log.append(["create", directory, name, number, mode])
        return number

    def _create(self, directory: int, data: bytes, uid: int, gid: int) -> bytes:
        flags, mode = struct.unpack_from("<II", data)
        name = _name(data[16:])
        if (number := self.nodes[directory].children.get(name)) is None:
            number = self._new(directory, name, mode, uid, gid)
        elif flags & os.O_EXCL:
            raise OSError(errno.EEXIST, name)
        return self._entry(number) + self._open()

    def _mkdir(self, directory: int, data: bytes, uid: int, gid: int) -> bytes:
        mode, _ = struct.unpack_from("<II", data)
        name = _name(data[8:])
        if name in self.nodes[directory].children:
            raise OSError(errno.EEXIST, name)
        return self._entry(self._new(directory, name, stat.S_IFDIR | mode, uid, gid))

    def _setattr(self, number: int, data: bytes, *_: Any) -> bytes:
        valid, _, _, size, *_times, mode, _, uid, gid, _ = SETATTR.unpack_from(data)
        node = self.nodes[number]
        if valid & 1:
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)
            self.log.append(["mode", number, node.mode])
        node.uid, node.gid = (uid if valid & 2 else node.uid), (gid if valid & 4 else node.gid)
        if valid & 8:
            del node.data[size:]
            node.data.extend(bytes(size - len(node.data)))
            self.log.append(["truncate", number, size])
        return self._getattr(number)

    def _write(self, number: int, data: bytes, *_: Any) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", data)
        written = data[40 : 40 + (size if self.most_bytes is None else min(size, self.most_bytes))]
        node = self.nodes[number]
        node.data.extend(bytes(max(0, offset - len(node.data))))
        node.data[offset : offset + len(written)] = written
        self.log.append(["write", number, offset, base64.b64encode(written).decode()])
        return struct.pack("<II", len(written), 0)

    def _fsync(self, number: int, *_: Any) -> bytes:
        self.log.append(["fsync", number])
        return b""

    _fsyncdir = _fsync

    def _rename(self, directory: int, data: bytes, *_: Any) -> bytes:
        (target,) = struct.unpack_from("<Q", data)
        # RENAME2 has flags between: eight bytes of which the last four are zero.
        names = data[16:] if data[12:16] == bytes(4) and data[8:9] in b"\0\1" else data[8:]
        old, new = (os.fsdecode(name) for name in names.split(b"\0")[:2])
        self.nodes[target].children[new] = self._child(directory, old)
        del self.nodes[directory].children[old]
        self.log.append(["rename", directory, old, target, new])
        return b""

    def _unlink(self, directory: int, data: bytes, *_: Any) -> bytes:
        self._child(directory, _name(data))
        del self.nodes[directory].children[_name(data)]
        self.log.append(["unlink", directory, _name(data)])
        return b""

    _rmdir = _unlink

    # -------------------------------------------------------------- what the tests say

    def obey(self, word: str, *arguments: Any) -> Any:
        """Do what a test says, and answer it."""
        if word == "hang":
            self.hanging |= set(arguments)
        elif word == "fail":
            operation, number, times = arguments
            self.failing[operation] = [number, times]
        elif word == "short":
            self.most_bytes = arguments[0]
        elif word == "release":
            self.release()
        return {"log": self.log, "held": len(self.held)} if word == "tell" else None


def _name(data: bytes) -> str:
    return os.fsdecode(data.split(b"\0", 1)[0])


def main(mountpoint: str) -> None:
    """Mount, and serve the kernel and the test until the test has gone."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40755,user_id=0,group_id=0,default_permissions,allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tests", os.fsencode(mountpoint), b"fuse", 0, options.encode()) != 0:
        print(json.dumps(f"mount: {os.strerror(ctypes.get_errno())}"), flush=True)
        return
    filesystem = Filesystem(device)
    # Unbuffered: a command that waits in a buffer would not wake `select`.
    commands = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115
    print(json.dumps("mounted"), flush=True)
    while True:
        ready, _, _ = select.select([device, 0], [], [])
        if device in ready:
            try:
                filesystem.serve(os.read(device, LARGEST_REQUEST))
            except OSError as error:
                if error.errno not in {errno.ENOENT, errno.EINTR, errno.EAGAIN}:
                    raise
        if 0 in ready:
            if not (line := commands.readline()):
                return
            print(json.dumps(filesystem.obey(*json.loads(line))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
