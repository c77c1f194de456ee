"""Output of short commands: the result to stdout, a sentence to stderr. Imports nothing but `os`, for `get`."""

import os


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
