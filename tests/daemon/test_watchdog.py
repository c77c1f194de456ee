"""The watchdog of a real process. Who has hung is decided in `tests/engine/test_progress.py`."""

import sys

from tests.daemon.harness import Home, until
from tests.daemon.tables import PARTNER

# A kind whose attempt blocks the loop itself while a file is there: the bug that the watchdog is for.
BLOCKING = """
import sys, time
from pathlib import Path
from typing import Literal
import anyio
from tokend import kinds
from tokend.daemon import process
from tokend.values.errors import TransientError
from tokend.plugin.settings import HeldSettings

class Blocking(HeldSettings):
    kind: Literal["blocking"] = "blocking"
    async def fetch(self, runtime, previous):
        while not Path("block").exists():
            await anyio.sleep(0.01)
        Path("blocked").touch()
        while Path("block").exists():
            time.sleep(0.01)
        raise TransientError("it goes on")

kinds.PROVIDERS = kinds.PROVIDERS.including({"blocking": Blocking})
sys.exit(process.run("config.toml"))
"""


def test_a_blocked_loop_feeds_no_watchdog(home: Home) -> None:
    """docs/promises.md 72: no WATCHDOG=1 while the loop stands still, and systemd would end it; here it may go on."""
    home.write(PARTNER, '\n[providers.bad]\nkind = "blocking"\n')
    daemon = home.start(wrap=(sys.executable, "-c", BLOCKING), WATCHDOG_USEC="100000")
    until(lambda: daemon.noted("WATCHDOG=1") >= 3, "three meals")
    (home.path / "block").touch()
    until((home.path / "blocked").exists, "the block")
    daemon.quiet()  # longer than ten times what systemd would wait
    count = daemon.noted("WATCHDOG=1")
    (home.path / "block").unlink()
    until(lambda: daemon.noted("WATCHDOG=1") >= count + 3, "the next meals")
