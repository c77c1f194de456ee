"""Names of temporary files. A name shows its target, so that a later start can remove what a crash left."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MARK = ".tokend-"
LONGEST_NAME_BYTES = 255

# Temporaries that threads of this process are writing now: no sweep may remove them.
_in_flight: set[str] = set()
# The last listing: the directory's identity and time, and the names found. Threads replace the whole tuple.
_listed: tuple[tuple[int, int, int], list[str]] = ((0, 0, 0), [])


@contextmanager
def temporary_name(directory: int, name: str) -> Iterator[str]:
    """Yield a new name beside the file ``name``. A block that fails unlinks the file of that name."""
    temporary = _prefix(name) + secrets.token_hex(4)
    _in_flight.add(temporary)
    try:
        yield temporary
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise
    finally:
        _in_flight.discard(temporary)


def sweep(directory: int, name: str | None) -> None:
    """Remove the temporaries of one target (None: of all) that no thread of this process is writing."""
    stem = r"\..*" + re.escape(MARK) if name is None else re.escape(_prefix(name))
    temporary = re.compile(stem + r"[0-9a-f]{8}", re.DOTALL)
    for found in _marked(directory):
        if temporary.fullmatch(found) and found not in _in_flight:
            with suppress(OSError):
                os.unlink(found, dir_fd=directory)


def _marked(directory: int) -> list[str]:
    """List the names with our mark. The result for an unchanged directory is cached.

    Thousands of sinks can share a directory; listing it for each takes 1.5 s per thousand.
    """
    global _listed
    status = os.fstat(directory)
    as_it_is = (status.st_dev, status.st_ino, status.st_mtime_ns)
    known, marked = _listed
    if known != as_it_is:
        marked = [name for name in os.listdir(directory) if MARK in name]
        _listed = (as_it_is, marked)
    return marked


def _prefix(name: str) -> str:
    # The mark and eight hex digits must fit, too. A file name need not be UTF-8; a temporary name is.
    return "." + os.fsencode(name)[: LONGEST_NAME_BYTES - 32].decode("utf-8", "ignore") + MARK
