"""Programs that read or watch the file that the real daemon writes: whole tokens, and one move per token."""

import ctypes
import os
import struct
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

from tests.daemon.harness import Home, until
from tests.daemon.tables import PARTNER, SECRETS
from tests.faults.needs import when_asked_for
from tests.faults.sink_reports import mint

pytestmark = when_asked_for
READS = 20_000
READER = """
import base64, hashlib, hmac, pathlib, sys
path, secret, reads = pathlib.Path(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
seen, count = set(), 0
while count < reads or len(seen) < 4:
    found = path.read_bytes()
    count += 1
    if found not in seen:
        signed, _, signature = found.rpartition(b".")
        right = base64.urlsafe_b64encode(hmac.digest(secret, signed, "sha256")).rstrip(b"=")
        if not signed or signature != right:
            sys.exit("torn: %d bytes" % len(found))
        seen.add(found)
print(count)
"""
MOVED_FROM, MOVED_TO = 0x40, 0x80
ALL_EVENTS = 0xFFF & ~0x1 & ~0x10 & ~0x20  # but reading, closing after it, opening


def test_readers_beside_a_daemon_that_refreshes_all_the_time_see_whole_tokens(home: Home) -> None:
    """docs/promises.md 57: 20,000 reads by four processes, each across several tokens, whose signatures are right."""
    daemon = home.start(PARTNER).settled()
    argv = [sys.executable, "-c", READER, str(home.out("partner.jwt")), SECRETS["partner"], str(READS // 4)]
    readers = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    while any(reader.poll() is None for reader in readers):
        daemon.ask("POST", "/v1/tokens/partner/refresh")
    told = [reader.communicate()[0] for reader in readers]
    assert [reader.returncode for reader in readers] == [0] * 4, told
    assert sum(map(int, told)) >= READS


class Watched:
    """All that inotify(7) says of a directory."""

    def __init__(self, directory: Path) -> None:
        libc = ctypes.CDLL(None)
        self.descriptor = libc.inotify_init1(os.O_CLOEXEC)
        assert libc.inotify_add_watch(self.descriptor, os.fsencode(directory), ALL_EVENTS) > 0
        self.events: list[tuple[str, int]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            data = os.read(self.descriptor, 65536)
            while data:
                _, mask, _, length = struct.unpack_from("iIII", data)
                self.events.append((data[16 : 16 + length].rstrip(b"\0").decode(), mask))
                data = data[16 + length :]

    def of(self, name: str) -> list[int]:
        """What happened to one name."""
        return [mask for seen, mask in list(self.events) if seen == name]


def moved(watched: Watched, count: int) -> bool:
    """Return whether the file was replaced so many times."""
    return len(watched.of("partner.jwt")) == count


def test_who_watches_the_directory_sees_one_move_per_token(home: Home) -> None:
    """docs/promises.md 58: the file is never written to, cut, created or deleted; temporaries are dot-files."""
    daemon = home.start(PARTNER).settled()
    watched = Watched(home.path / "out")
    for count in range(1, 4):
        found = mint(daemon)
        until(partial(moved, watched, count), "the move")
        assert home.out("partner.jwt").read_text() == found["access_token"]
    assert watched.of("partner.jwt") == [MOVED_TO] * 3
    others = {name for name, _ in watched.events} - {"partner.jwt"}
    assert all(name.startswith(".partner.jwt.tokend-") for name in others)
    assert [mask for name, mask in watched.events if mask & MOVED_FROM and name in others] == [MOVED_FROM] * 3
