"""Standard input while a login is under way: what a person pastes is read without waiting, in lines of any length."""

import os
import sys
import termios
from types import TracebackType
from typing import Any

LONGEST_BYTES = 64 * 1024
_CANONICAL_AT = 3  # the place of the local modes in what `termios.tcgetattr` returns
_ERASE, _KILL = 0x7F, 0x15


class TerminalInput:
    """Standard input. On a terminal, lines have no limit while the block lasts: the kernel's own is 4095 bytes."""

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._before: Any = None
        self._line = bytearray()
        self.is_open = _is_readable(descriptor)

    def __enter__(self) -> "TerminalInput":
        if self.is_open and os.isatty(self._descriptor) and _is_in_foreground(self._descriptor):
            self._before = termios.tcgetattr(self._descriptor)
            changed = termios.tcgetattr(self._descriptor)
            changed[_CANONICAL_AT] &= ~termios.ICANON
            changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, changed)
        elif self.is_open and os.isatty(self._descriptor):
            self.is_open = False  # to read from a terminal in the background would stop this process
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._before is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._descriptor

    def read(self) -> str:
        """Read what is there; returns whole lines, or nothing yet. At its end, `is_open` becomes false."""
        try:
            chunk = os.read(self._descriptor, LONGEST_BYTES)
        except OSError:
            chunk = b""
        if not chunk:
            self.is_open = False
            chunk = b"\n"
        for one in chunk:
            if self._before is not None and one == _ERASE:
                del self._line[-1:]
            elif self._before is not None and one == _KILL:
                self._line.clear()
            else:
                self._line.append(0x0A if one == 0x0D else one)
        if 0x0A not in chunk and 0x0D not in chunk and len(self._line) <= LONGEST_BYTES:
            return ""
        text = self._line.decode(errors="replace")
        self._line.clear()
        return text


def _is_readable(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return descriptor != 0 or sys.stdin is not None


def _is_in_foreground(descriptor: int) -> bool:
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
