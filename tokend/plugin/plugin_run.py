"""The first run of a plug-in's code: in a thread of its own, with a limit of time, and once. Blocks."""

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from tokend.machine.late_imports import LimitedImport, SlowImportError

T = TypeVar("T")

# A reload has 60 s. An import takes a second or two.
LIMIT_SECONDS = 20.0

# Those that were out of time, by what they run.
_late: dict[Hashable, LimitedImport[Any]] = {}
_has_run = False


def first_run(what: Hashable, call: Callable[[], T]) -> T:
    """Run ``call``, which imports a plug-in, and return its result. ``what`` is what it runs: the content of a file.

    Raises what it raises, and `SlowImportError` after `LIMIT_SECONDS`. The call goes on then: it is not run again
    beside itself, and a later `first_run` returns its result once it has ended.
    """
    global _has_run
    _has_run = True
    late: LimitedImport[T] | None = _late.pop(what, None)
    run = late or LimitedImport(call)
    try:
        return run.wait(LIMIT_SECONDS if late is None else 0.0)
    except SlowImportError:
        _late[what] = run
        raise SlowImportError(f"its import has not ended after {LIMIT_SECONDS:g} s") from None


def threads_left() -> list[str]:
    """Return the names of the threads for which the interpreter would wait at its end; [] where no plug-in has run."""
    own = threading.main_thread()
    return [one.name for one in threading.enumerate() if one is not own and not one.daemon] if _has_run else []
