"""The ways out of a short command: what was asked for to stdout, a sentence to stderr. Costs nothing to import."""

import io
import os
import sys


def write(data: bytes) -> int:
    """Write everything to stdout; returns the exit code: 0, or 1 where it could not be written."""
    try:
        while data:
            data = data[os.write(1, data) :]
    except BrokenPipeError:
        return 1  # whoever read us has gone and knows it
    except OSError as error:
        complain(f"cannot write to standard output: {error.strerror}")
        return 1
    return 0


def complain(text: object) -> None:
    """Print ``tokend: TEXT`` to stderr. Nothing that could steer a terminal passes; a closed stderr hears nothing."""
    line = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in f"tokend: {text}")
    try:
        os.write(2, f"{line}\n".encode())
    except OSError:
        return


def prepare_streams() -> None:
    """Make the streams say what they cannot write, instead of ending in a traceback. For commands that print or log."""
    if sys.stdout is None:
        # Closed: the next file to be opened would take its number, and our words. Reading only, so that writing fails.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  (until the end of the process)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
