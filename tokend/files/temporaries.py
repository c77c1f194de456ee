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
    for found in os.listdir(directory):
        if temporary.fullmatch(found) and found not in _in_flight:
            with suppress(OSError):
                os.unlink(found, dir_fd=directory)


def _prefix(name: str) -> str:
    # The mark and eight hex digits must fit beside it; a name need not be UTF-8, but ours always is.
    return "." + os.fsencode(name)[: LONGEST_NAME_BYTES - 32].decode("utf-8", "ignore") + MARK
