"""Descriptors that systemd passes, in a process of its own with real descriptors from 3 on."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import json, os
from tokend.service_manager.activation import inherit
from tokend.values.errors import ConfigError
try:
    found = inherit()
except ConfigError as error:
    print(json.dumps(error.detail))
else:
    descriptors = [one.fileno() for one in found.sockets.values()] + sum(found.stored.values(), [])
    print(json.dumps({
        "sockets": {name: one.getsockname() for name, one in found.sockets.items()},
        "blocking": [one.getblocking() for one in found.sockets.values()],
        "stored": {name: [os.pread(one, 9, 0).decode() for one in every] for name, every in found.stored.items()},
        "inheritable": [os.get_inheritable(one) for one in descriptors],
        "environ": [key for key in os.environ if key.startswith("LISTEN_")],
        "again": len(inherit().sockets),
    }))
"""


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose name leaves room for a socket's."""
    path = Path(tempfile.mkdtemp(prefix="tk-"))
    yield path
    shutil.rmtree(path)


def passed(descriptors: list[int], names: str | None, **environ: str) -> Any:
    """Run `SCRIPT` with the descriptors from 3 on, as systemd starts a service."""
    code = (
        "import os, sys\n"
        f"high = [os.dup2(fd, 100 + fd) for fd in {descriptors}]\n"
        "for index, fd in enumerate(high): os.dup2(fd, 3 + index); os.close(fd)\n"
        "os.environ.setdefault('LISTEN_PID', str(os.getpid()))\n"
        f"os.execv(sys.executable, [sys.executable, '-c', {SCRIPT!r}])\n"
    )
    listed = {"LISTEN_FDS": str(len(descriptors)), **({} if names is None else {"LISTEN_FDNAMES": names})}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, timeout=30, pass_fds=descriptors,
        env={"PATH": os.environ["PATH"], **listed, **environ},
    )  # fmt: skip
    return json.loads(done.stdout)


def listening(path: Path) -> socket.socket:
    """A socket that listens on ``path``."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    return server


def test_sockets_come_by_name_in_any_order_and_no_child_gets_them(short: Path) -> None:
    """Names, not places; close-on-exec, not blocking, and the variables are gone. What is no socket was stored."""
    with listening(short / "a") as api, listening(short / "c") as credentials, tempfile.TemporaryFile() as kept:
        kept.write(b"some-fake")
        kept.flush()
        found = passed([credentials.fileno(), kept.fileno(), api.fileno()], "credentials:tokens:api")
    assert found["sockets"] == {"api": str(short / "a"), "credentials": str(short / "c")}
    assert found["stored"] == {"tokens": ["some-fake"]}
    assert found["inheritable"] == [False] * 3
    assert found["blocking"] == [False] * 2
    assert found["environ"] == []
    assert found["again"] == 0


def test_what_was_passed_to_another_process_is_not_touched(short: Path) -> None:
    """LISTEN_PID."""
    with listening(short / "a") as api:
        found = passed([api.fileno()], "api", LISTEN_PID="1")
    assert found["sockets"] == {}
    assert found["environ"] == []


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("tokend.socket", "FileDescriptorName=api, =credentials or =loopback"),
        (None, "named 'unknown'"),
        ("api:api", "two sockets named 'api'"),
        ("credentials:api", "the socket named 'api' is no listening Unix stream socket"),
    ],
)
def test_a_socket_that_nobody_would_serve_is_an_error(short: Path, names: str | None, words: str) -> None:
    """systemd would let clients wait on it for ever; the message says what to write into the unit."""
    with listening(short / "a") as one, listening(short / "b") as two, socket.socket(socket.AF_UNIX) as mute:
        second = mute if names is not None and names.startswith("credentials") else two
        assert words in passed([one.fileno(), second.fileno()], names)


def test_a_descriptor_that_is_not_there_is_an_error() -> None:
    """A number too high is somebody's mistake, not a crash."""
    assert "descriptor 3 of LISTEN_FDS cannot be used" in passed([], "api", LISTEN_FDS="1")


@pytest.mark.parametrize("count", ["", "-1", "1 ", "²", "x", "9" * 5000])
def test_a_count_that_is_no_number_passes_nothing(short: Path, count: str) -> None:
    """Also where Python would refuse to make a number of so many digits."""
    with listening(short / "a") as api:
        found = passed([api.fileno()], "api", LISTEN_FDS=count)
    assert found["sockets"] == {}
    assert found["environ"] == []
