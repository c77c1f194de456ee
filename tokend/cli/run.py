"""``tokend run``: straight from argv to the daemon. click only shows its help and explains wrong usage.

click and what the other commands import take 30 ms of a start and 3 MB for as long as the daemon runs.
"""

import gc
import os

from tokend.cli.streams import complain, prepare_streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokend.daemon.single_run import SingleRun

LOG_LEVELS = ("debug", "info", "warning", "error")


def run(arguments: "Sequence[str]") -> "int | None":
    """Carry out ``tokend run ARGUMENTS``; returns the exit code, None where click should explain."""
    options = _parse(arguments)
    if options is None:
        return None
    prepare_streams()
    try:
        return run_daemon(*options)
    except KeyboardInterrupt:
        return 1
    except OSError as error:
        complain(f"{error.filename or 'cannot write to standard output'}: {error.strerror}")
        # What is still buffered cannot be written, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


def run_daemon(
    config: "str | None", once: bool, log_level: "str | None", single: "Callable[[], SingleRun] | None" = None
) -> int:
    """Import the daemon and run it; returns the exit code. ``single`` makes a single run other than the default one."""
    # Imports make no garbage, and the collector would walk through all that they make. `process.run` enables it again.
    gc.disable()
    from tokend.machine import lean_imports

    lean_imports.keep_out()
    from tokend.daemon.process import run as run_process
    from tokend.daemon.single_run import SingleRun

    return run_process(config, once=(single or SingleRun)() if once else None, log_level=log_level)


def _parse(arguments: "Sequence[str]") -> "tuple[str | None, bool, str | None] | None":
    """Return the values of --config, --once and --log-level, None for anything else."""
    config, once, log_level = None, False, None
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, has_value, value = argument.partition("=")
        if argument == "--once":
            once = True
        elif name == "--config" and (has_value or rest):
            config = value if has_value else rest.pop(0)
        elif name == "--log-level" and (has_value or rest):
            log_level = value if has_value else rest.pop(0)
            if log_level not in LOG_LEVELS:
                return None
        else:
            return None
    return config, once, log_level
