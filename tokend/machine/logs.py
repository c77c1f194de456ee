"""Logging with structlog: one line per event, formatted for the journal, a terminal or a file. Never a secret.

Modules call `get_logger`. `configure` sets the form of the lines and the lowest level that is shown.
"""

import codecs
import logging
import os
import select
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from functools import partial
from typing import Any, TextIO

import structlog

from tokend.machine.console_log import ConsoleRenderer, columns_of
from tokend.values.errors import TokendError

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# sd-daemon(3): the journal reads the priority from the start of each line.
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
# poll(2) calls a pipe writable when PIPE_BUF bytes fit: a longer line could block the daemon.
LONGEST_LINE_BYTES = 4096
# Messages of these exceptions name attributes, variables and lengths. Other messages quote data: a KeyError the key, a
# ValueError the text, h11 the header.
_NAMES_ONLY = (AttributeError, NameError, UnboundLocalError, IndexError, ZeroDivisionError, RecursionError)

# Python imports a codec at its first use. That may be a line about a daemon that has no descriptor left.
codecs.lookup("unicode_escape")

# The level of the command line, which holds over the configuration's.
_forced: str | None = None


def get_logger() -> Any:
    """Return the logger of a module. Events have stable dotted names: ``token.refreshed``, ``sink.written``, …"""
    return structlog.get_logger()


def get_unfiltered_logger() -> Any:
    """Return a logger whose lines are written at every level that is configured: for lines that were asked for."""
    return structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(0))


class Descriptor:
    """Write lines to a descriptor and never block. A line that does not fit is dropped and counted in ``dropped``."""

    dropped = 0

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def msg(self, line: str) -> None:
        """Write one line."""
        data = (line + "\n").encode("utf-8", "backslashreplace")
        for start in range(0, len(data), LONGEST_LINE_BYTES):
            try:
                if not self._poll.poll(0):
                    raise BlockingIOError
                os.write(self._descriptor, data[start : start + LONGEST_LINE_BYTES])
            except OSError:
                type(self).dropped += 1
                return

    debug = info = warning = error = critical = msg


def force_level(level: str | None) -> None:
    """Show this level and those above it, whatever `configure` is given: the choice of the command line."""
    global _forced
    _forced = level


def level_in_force(configured: str) -> str:
    """Return the lowest level that is shown: the forced one, else the configured one."""
    return _forced or configured


def configure(*, level: str, form: str, stream: TextIO = sys.stderr, environ: Mapping[str, str] = os.environ) -> None:
    """Set the form of the lines (``auto | console | logfmt | json``) and the lowest level that is shown, unless forced.

    ``auto`` is logfmt with priorities under the journal, console on a terminal, logfmt elsewhere.
    """
    journal = "JOURNAL_STREAM" in environ
    terminal = stream.isatty()
    if form == "auto":
        form = "console" if terminal and not journal else "logfmt"
    processors: list[Any] = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level]
    if not (journal and form == "logfmt"):
        # The journal adds a timestamp itself.
        # A person at a terminal compares with the own clock, a program with other logs.
        console = form == "console"
        processors.append(structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console))
    processors.append(structlog.processors.ExceptionRenderer(lambda info: trace(info[1])))
    if form == "console":
        colors = terminal and "NO_COLOR" not in environ
        processors.append(ConsoleRenderer(colors=colors, columns=partial(columns_of, stream.fileno())))
    elif form == "json":
        processors.append(structlog.processors.JSONRenderer())
    else:
        processors.append(_logfmt)
        if journal:
            processors.append(_with_priority)
    descriptor = Descriptor(stream.fileno())
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level_in_force(level)]),
        logger_factory=lambda *_: descriptor,
        cache_logger_on_first_use=False,
    )
    # Third parties may log URLs and headers at INFO.
    logging.basicConfig(level=logging.WARNING, handlers=[logging.NullHandler()], force=True)


def trace(error: BaseException) -> str:
    """Format the traceback of a bug. Messages that may quote a secret are left out."""
    return "\n".join(_traced(error, set()))


def trace_uncaught() -> None:
    """Report uncaught exceptions of all threads and destructors with `trace`."""

    def report(error: BaseException | None) -> None:
        if error is not None and not isinstance(error, SystemExit):
            sys.stderr.write(trace(error) + "\n")

    sys.excepthook = lambda _kind, error, _trace: report(error)
    sys.unraisablehook = lambda unraisable: report(unraisable.exc_value)
    threading.excepthook = lambda failed: report(failed.exc_value)


def _traced(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _traced(before, seen)
        yield "and then, because of it or while it was handled:"
    yield "Traceback (most recent call last):"
    for frame in traceback.format_tb(error.__traceback__):
        yield frame.rstrip("\n")
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if isinstance(error, OSError) and error.errno is not None:
        yield f"{name}: {os.strerror(error.errno)}"
    elif isinstance(error, TokendError) or type(error) in _NAMES_ONLY:
        yield f"{name}: {error}"
    else:
        yield f"{name} (its message may quote a secret: left out)"
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _traced(inner, seen)


def _logfmt(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    order = ["timestamp", "level", "event", "token", "sink"]
    keys = [key for key in order if key in event] + sorted(key for key in event if key not in order)
    return " ".join(f"{key}={_quoted(event[key])}" for key in keys if event[key] is not None)


def _quoted(value: Any) -> str:
    text = str(value)
    if text and all(" " < character <= "~" and character not in '"=' for character in text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in escaped) + '"'


def _with_priority(_: Any, method: str, line: str) -> str:
    # A priority applies to one line, and a traceback has many: each line gets it.
    prefix = f"<{_PRIORITY.get(method, 6)}>"
    return "\n".join(prefix + part for part in line.split("\n"))
