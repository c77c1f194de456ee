"""The signals that end the daemon: one is one, however many others arrive with it."""

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, os, signal, sys
import anyio, uvloop
from tokend.daemon.end_signals import end_signals

async def main():
    stop = anyio.Event()
    signal.signal(signal.SIGHUP, lambda *_: None)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: None)
    with end_signals(stop):
        # A full pipe of the loop, and the signal amid it.
        for _ in range(3):
            for _ in range(2000):
                os.kill(os.getpid(), signal.SIGUSR1)
                os.kill(os.getpid(), signal.SIGHUP)
            if not stop.is_set() and sys.argv[1] != "none":
                os.kill(os.getpid(), getattr(signal, sys.argv[1]))
                sys.argv[1] = "none"
            await asyncio.sleep(0)
        await stop.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        print("stopping", flush=True)
        if sys.argv[2] == "twice":
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(30)

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize(
    ("number", "times", "code"),
    [("SIGTERM", "once", 0), ("SIGINT", "once", 0), ("SIGTERM", "twice", 143), ("SIGINT", "twice", 143)],
)
def test_the_first_ends_in_order_and_the_second_at_once(number: str, times: str, code: int) -> None:
    """Thousands of other signals in the same moment do not count as a second one."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, number, times], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("stopping\n", code), done.stderr
