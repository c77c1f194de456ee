"""Output of short commands: result to stdout, a sentence to stderr. Imports nothing that Python has not imported."""

import io
import os
import sys


def write(data: bytes) -> int:
    """Write everything to stdout. Returns the exit code: 0, or 1 if it could not be written."""
    try:
        while data:
            data = data[os.write(1, data) :]
    except BrokenPipeError:
        return 1  # the reader closed the pipe itself: no message
    except OSError as error:
        complain(f"cannot write to standard output: {error.strerror}")
        return 1
    return 0


def complain(text: object) -> None:
    """Print ``tokend: TEXT`` to stderr, with control characters escaped. Does nothing if stderr is closed."""
    line = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in f"tokend: {text}")
    try:
        os.write(2, f"{line}\n".encode())
    except OSError:
        return


def prepare_streams() -> None:
    """Replace closed streams, and escape characters that the terminal's encoding does not have."""
    if sys.stdout is None:
        # Closed: the next file that is opened would get descriptor 1, and our output. Open for reading, writing fails.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  (until the end of the process)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
