"""Output of short commands: result to stdout, a sentence to stderr. Imports nothing that Python has not imported."""

import io
import os
import sys

TYPE_CHECKING = False  # `typing` costs a tenth of `tokend get`; type checkers know the name
if TYPE_CHECKING:
    from typing import Any


def write(data: bytes) -> int:
    """Write everything to stdout. Returns the exit code: 0, or 1 if it could not be written.

    On a terminal, control characters are escaped. A file or a pipe gets the bytes as they are.
    """
    data = payload(data)
    try:
        while data:
            data = data[os.write(1, data) :]
    except BrokenPipeError:
        return 1  # the reader closed the pipe itself: no message
    except OSError as error:
        complain(f"cannot write to standard output: {error.strerror}")
        return 1
    return 0


def payload(data: bytes) -> bytes:
    """Return the bytes for stdout: with control characters escaped if it is a terminal, else unchanged."""
    return escaped(data.decode(errors="backslashreplace"), kept="\n").encode() if os.isatty(1) else data


def complain(text: object) -> None:
    """Print ``tokend: TEXT`` to stderr, with control characters escaped. Does nothing if stderr is closed."""
    line = escaped(f"tokend: {text}", kept="\n")
    try:
        os.write(2, f"{line}\n".encode())
    except OSError:
        return


def escaped(text: str, *, kept: str = "") -> str:
    """Return ``text`` with each unprintable character as Python writes it, except the characters in ``kept``.

    The server at the socket may be another program's, and its answers may hold anything.
    """
    return "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in text)


def escaped_values(value: "Any") -> "Any":
    """Return a JSON value with all its strings and keys `escaped`."""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, dict):
        return {escaped_values(key): escaped_values(inner) for key, inner in value.items()}
    return [escaped_values(inner) for inner in value] if isinstance(value, list) else value


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
