"""The last descriptors: for upstreams, state, files and reloads, however many clients come (docs/promises.md 71)."""

import os
import resource

RESERVED_DESCRIPTORS = 64


def first_reserved() -> float:
    """The first of the last descriptors: the kernel gives the lowest number that is free. The limit may change."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if soft == resource.RLIM_INFINITY else soft - RESERVED_DESCRIPTORS


def is_reached() -> bool:
    """Tell whether the next descriptor would be one of the last: for who must not accept what cannot be kept."""
    try:
        lowest = os.open("/", os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return True
    os.close(lowest)
    return lowest >= first_reserved()
