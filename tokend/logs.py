"""Logging: structlog, one line per event, in the form that the place of reading wants. Never a secret.

Modules take their logger by `get_logger`; `configure` decides once, at start, how lines look and which are shown.
"""

import logging
import os
import select
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# sd-daemon(3): the journal reads the priority from the start of each line.
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
# poll(2) calls a pipe writable when PIPE_BUF bytes fit: a longer line could block the daemon.
LONGEST_LINE_BYTES = 4096


def get_logger() -> Any:
    """The logger of a module. Events have stable dotted names: ``token.refreshed``, ``sink.written``, …"""
    return structlog.get_logger()


class Descriptor:
    """Write lines to a descriptor without ever blocking: what does not fit is dropped and counted."""

    dropped = 0

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def msg(self, line: str) -> None:
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


def configure(*, level: str, form: str, stream: TextIO = sys.stderr, environ: Mapping[str, str] = os.environ) -> None:
    """Set the lines' form (``auto | console | logfmt | json``) and the least level shown.

    ``auto`` is logfmt with priorities under the journal, console on a terminal, logfmt elsewhere.
    """
    journal = "JOURNAL_STREAM" in environ
    terminal = stream.isatty()
    if form == "auto":
        form = "console" if terminal and not journal else "logfmt"
    processors: list[Any] = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level]
    if not (journal and form == "logfmt"):
        # The journal has its own clock.
        processors.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    processors.append(structlog.processors.format_exc_info)
    if form == "console":
        colors = terminal and "NO_COLOR" not in environ
        processors.append(structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=24))
    elif form == "json":
        processors.append(structlog.processors.JSONRenderer())
    else:
        processors.append(_logfmt)
        if journal:
            processors.append(_with_priority)
    descriptor = Descriptor(stream.fileno())
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: descriptor,
        cache_logger_on_first_use=False,
    )
    # Third parties may name URLs and headers at INFO.
    logging.basicConfig(level=logging.WARNING, handlers=[logging.NullHandler()], force=True)


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
    # A prefix counts for one line only (a traceback has many), hence on each.
    prefix = f"<{_PRIORITY.get(method, 6)}>"
    return "\n".join(prefix + part for part in line.split("\n"))
