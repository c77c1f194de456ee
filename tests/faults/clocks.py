"""Clocks of a process that a test moves while it runs: ``clocks.c``, compiled here and preloaded there."""

import mmap
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.faults.needs import need

SOURCE = Path(__file__).with_name("clocks.c")
NANOSECONDS = 10**9


@dataclass
class Clocks:
    """The offsets of the three clocks, in seconds, as every process with `environ` sees them at once."""

    library: Path
    file: Path
    wall: float = 0.0
    monotonic: float = 0.0
    boot: float = 0.0

    @property
    def environ(self) -> dict[str, str]:
        """What a process is started with."""
        return {"LD_PRELOAD": str(self.library), "TEST_CLOCKS": str(self.file)}

    def suspend(self, seconds: float) -> None:
        """Let the machine have slept."""
        self.move(wall=seconds, boot=seconds)

    def step(self, seconds: float) -> None:
        """Set the wall clock ahead, or back."""
        self.move(wall=seconds)

    def move(self, *, wall: float = 0.0, monotonic: float = 0.0, boot: float = 0.0) -> None:
        self.wall, self.monotonic, self.boot = self.wall + wall, self.monotonic + monotonic, self.boot + boot
        offsets = (round(one * NANOSECONDS) for one in (self.wall, self.monotonic, self.boot))
        # In place: what is mapped is this file, and not one that replaces it.
        with self.file.open("r+b") as file, mmap.mmap(file.fileno(), 24) as page:
            page[:] = struct.pack("=3q", *offsets)


def make_clocks(directory: Path) -> Clocks:
    """Compile them into ``directory``."""
    need("cc")
    clocks = Clocks(directory / "clocks.so", directory / "clocks")
    command = ["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(clocks.library), str(SOURCE)]
    subprocess.run(command, check=True, timeout=60)
    clocks.file.write_bytes(bytes(24))
    return clocks
