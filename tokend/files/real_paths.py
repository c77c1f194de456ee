"""`os.path.realpath` for many files of a few directories: each directory is resolved once.

A configuration of 10,000 providers names ten thousand files, mostly in one directory; each component of a path costs a
system call.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_resolved: ContextVar[dict[str, str] | None] = ContextVar("_resolved", default=None)


def real_path(path: str | Path) -> str:
    """Resolve all links of a path, which need not exist. Within `directories_resolved_once`, directories are kept."""
    directory, name = os.path.split(path)
    directories = _resolved.get()
    if directories is None or name in {"", ".", ".."} or os.path.islink(path):  # noqa: PTH114  (of a Path it makes one more)
        return os.path.realpath(path)
    if (real := directories.get(directory)) is None:
        real = directories[directory] = os.path.realpath(directory)
    return f"{real.rstrip('/')}/{name}"


@contextmanager
def directories_resolved_once() -> Iterator[None]:
    """Have `real_path` resolve each directory once in this block, where a link that moves in the meantime does no harm.

    It applies to this thread or task only.
    """
    token = _resolved.set({})
    try:
        yield
    finally:
        _resolved.reset(token)
