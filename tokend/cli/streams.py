"""The ways out of a short command: what was asked for to stdout, a sentence to stderr. Costs nothing to import."""

import os


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
