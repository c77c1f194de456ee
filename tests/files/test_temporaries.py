"""Temporary files and their removal."""

import threading
from pathlib import Path

from tests.files.children import names
from tokend.files import (
    probe,
    replace_file,
    sweep_directory,
)
from tokend.files.ownership import Ownership


def test_a_sweep_takes_this_target_s_leftovers_and_nothing_else(tmp_path: Path) -> None:
    """docs/promises.md 55, 113: another target's temporary may be in use, and a user's file is a user's file."""
    ours = ".token.tokend-0123abcd"
    others = {".token.tokend-b.tokend-0123abcd", ".other.tokend-0123abcd", ".token.tokend-notours", "token", ".token"}
    for name in {ours, *others}:
        (tmp_path / name).write_bytes(b"secret")
    probe(tmp_path / "token")
    assert names(tmp_path) == others
    sweep_directory(tmp_path)
    assert names(tmp_path) == {".token.tokend-notours", "token", ".token"}


def test_a_sweep_never_takes_what_another_thread_is_writing(tmp_path: Path) -> None:
    """Two sinks on one file: the one that starts must not make the other's write fail."""
    path, stop, failures = tmp_path / "token", threading.Event(), []

    def sweeping() -> None:
        while not stop.is_set():
            probe(path)

    sweeper = threading.Thread(target=sweeping)
    sweeper.start()
    try:
        for number in range(50):
            replace_file(path, b"%d" % number, Ownership(mode=0o600))
    except OSError as error:
        failures.append(error)
    finally:
        stop.set()
        sweeper.join()
    assert not failures
