"""Standard input while a login is under way."""

import os
import pty
import select
import termios

from tokend.cli.login.terminal_input import LONGEST_BYTES, TerminalInput


def test_lines_of_a_pipe_come_whole_and_its_end_is_noticed() -> None:
    """A part of a line waits for the rest; what is there at the end counts."""
    reader, writer = os.pipe()
    with TerminalInput(reader) as typed:
        os.write(writer, b"half ")
        assert typed.read() == ""
        os.write(writer, b"a line\n")
        assert typed.read() == "half a line\n"
        os.write(writer, b"the rest")
        assert typed.read() == ""
        os.close(writer)
        assert typed.read() == "the rest\n"
        assert not typed.is_open
    os.close(reader)


def test_a_closed_standard_input_is_not_open() -> None:
    """As `tokend login x <&-`."""
    reader, writer = os.pipe()
    os.close(writer)
    os.close(reader)
    with TerminalInput(reader) as typed:
        assert not typed.is_open


def test_what_never_ends_has_a_limit() -> None:
    """Memory has, too."""
    reader, writer = os.pipe()
    with TerminalInput(reader) as typed:
        got = ""
        for _ in range(LONGEST_BYTES // 4096 + 2):
            os.write(writer, b"x" * 4096)
            got += typed.read()
        assert len(got) > LONGEST_BYTES
    os.close(reader)
    os.close(writer)


def test_a_terminal_takes_lines_longer_than_the_kernels_limit() -> None:
    """4095 bytes are too short for some codes. Backspace and Ctrl-U work, and the settings come back."""
    child, master = pty.fork()
    if child == 0:
        # In a session of its own, whose terminal this is.
        with TerminalInput(0) as typed:
            os.write(1, b"ready\n")
            text = ""
            while not text:
                text = typed.read()
            os.write(1, f"[{len(text)} {text[:6]!r}]".encode())
        canonical = termios.tcgetattr(0)[3] & termios.ICANON
        os.write(1, b"[restored]" if canonical else b"[spoilt]")
        os._exit(0)
    shown = b""
    _until(master, b"ready")
    os.write(master, b"rubbish\x15gett\x7f\x7fot")
    for _ in range(8):
        os.write(master, b"x" * 1000)
        shown += _drained(master)
    os.write(master, b"\r")
    shown += _until(master, b"[restored]")
    os.waitpid(child, 0)
    os.close(master)
    assert b"[8005 'geotxx']" in shown


def _until(master: int, text: bytes) -> bytes:
    found = b""
    while text not in found:
        assert select.select([master], [], [], 10)[0], found[-200:]
        found += os.read(master, 65536)
    return found


def _drained(master: int) -> bytes:
    found = b""
    while select.select([master], [], [], 0.05)[0]:
        found += os.read(master, 65536)
    return found
