"""The first run of a plug-in's code: in a thread of its own, with a limit of time, and once. Blocks."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from tokend.machine.late_imports import LimitedImport

T = TypeVar("T")

# An import takes a second or two. A load of the configuration, which a reload gives 60 s, waits for few that hang.
LIMIT_SECONDS, LIMIT_BESIDE_SECONDS = 20.0, 2.0

# A thread pool of a library ends its threads a little later than the loop. The daemon has 5 s in all.
ENDING_SECONDS = 1.0

# Those that have not ended, and those that ended late, by what they run.
_runs: dict[Hashable, LimitedImport[Any]] = {}
_lock = threading.Lock()
_has_run = False


def first_run(what: Hashable, call: Callable[[], T]) -> T:
    """Run ``call``, which imports a plug-in, and return its result. ``what`` is what it runs: the content of a file.

    Raises what it raises, and `NotImportedError` after `LIMIT_SECONDS`, or `LIMIT_BESIDE_SECONDS` beside another one
    that hangs. The call goes on then: it is not run again beside itself, and a later `first_run` returns its result
    once it has ended.
    """
    global _has_run
    with _lock:
        _has_run = True
        is_beside = any(run.is_late and run.is_alive() for run in _runs.values())
        run: LimitedImport[T] = _runs.setdefault(what, LimitedImport(call))
    limit = LIMIT_BESIDE_SECONDS if is_beside else LIMIT_SECONDS
    try:
        result = run.wait(0.0 if run.is_late else limit)
    except BaseException:
        if not run.is_alive():  # else it is late, or Ctrl-C has ended the wait
            _runs.pop(what, None)
        raise
    _runs.pop(what, None)
    return result


def threads_left() -> list[str]:
    """Return the names of the threads for which the interpreter would wait at its end; [] where no plug-in has run.

    Threads that are about to end get `ENDING_SECONDS`. Blocks.
    """
    if not _has_run:
        return []
    own, deadline = threading.main_thread(), time.monotonic() + ENDING_SECONDS
    left = [one for one in threading.enumerate() if one is not own and not one.daemon]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [one.name for one in left if one.is_alive()]
