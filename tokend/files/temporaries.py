"""The names of temporary files: recognisable as ours and as one target's, so that a crash's leftovers can be swept."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MARK = ".tokend-"
LONGEST_NAME_BYTES = 255

# What threads of this process are writing now: no sweep may take it away.
_in_flight: set[str] = set()
# A directory as it was listed last, and what was found. Threads replace it whole.
_listed: tuple[tuple[int, int, int], list[str]] = ((0, 0, 0), [])


@contextmanager
def temporary_name(directory: int, name: str) -> Iterator[str]:
    """Give a new name beside the file ``name``. Whatever has it at the end of a block that failed is unlinked."""
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
    """Remove the temporaries of one target (None: of any) that nobody in this process is writing."""
    stem = r"\..*" + re.escape(MARK) if name is None else re.escape(_prefix(name))
    temporary = re.compile(stem + r"[0-9a-f]{8}", re.DOTALL)
    for found in _marked(directory):
        if temporary.fullmatch(found) and found not in _in_flight:
            with suppress(OSError):
                os.unlink(found, dir_fd=directory)


def _marked(directory: int) -> list[str]:
    """The names with our mark. Of a directory that did not change they are known: each of thousands of sinks in it
    asks, and to list it for each would take a second and a half for every thousand."""
    global _listed
    status = os.fstat(directory)
    as_it_is = (status.st_dev, status.st_ino, status.st_mtime_ns)
    known, marked = _listed
    if known != as_it_is:
        marked = [name for name in os.listdir(directory) if MARK in name]
        _listed = (as_it_is, marked)
    return marked


def _prefix(name: str) -> str:
    # The mark and eight hex digits must fit beside it; a name need not be UTF-8, but ours always is.
    return "." + os.fsencode(name)[: LONGEST_NAME_BYTES - 32].decode("utf-8", "ignore") + MARK
