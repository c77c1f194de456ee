"""A headless Chromium, driven over its debugging pipe: open a page, look at it, type, click.

The protocol is Chrome's own: one JSON object per message, a NUL byte behind each.
"""

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.counterparts.programs import PATIENCE_SECONDS, program

# The browser reads at descriptor 3 and writes at 4. Its own sandbox needs what a container of CI lacks; it opens
# nothing here but pages of these tests.
_START = (
    'exec "$0" --headless --remote-debugging-pipe --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run '
    '--no-proxy-server --disable-background-networking --user-data-dir="$1" about:blank 3<&"$2" 4>&"$3"'
)


class Chromium:
    """One tab of a browser that runs."""

    def __init__(self, commands: IO[bytes], answers: IO[bytes]) -> None:
        self._commands, self._answers, self._received, self._count = commands, answers, bytearray(), 0
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def open(self, url: str) -> None:
        """Go to an address."""
        self._call("Page.navigate", session=self._session, url=url)

    def look(self, script: str) -> Any:
        """Evaluate JavaScript in the page; None while the page changes."""
        found = self._call("Runtime.evaluate", session=self._session, expression=script, returnByValue=True)
        return found.get("result", {}).get("value") if "exceptionDetails" not in found else None

    def wait_for(self, script: str) -> Any:
        """Wait until JavaScript in the page gives something true."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not (found := self.look(script)):
            assert time.monotonic() < until, f"{script}: {self.look('location.href + document.body.innerText')}"
            time.sleep(0.05)
        return found

    def type(self, selector: str, text: str) -> None:
        """Fill a field."""
        self.wait_for(f"document.querySelector({selector!r}) && document.readyState == 'complete'")
        self.look(f"document.querySelector({selector!r}).value = {text!r}")

    def click(self, selector: str) -> None:
        """Press a button, once the page is complete."""
        self.wait_for(f"document.querySelector({selector!r}) && document.readyState == 'complete'")
        self.look(f"document.querySelector({selector!r}).click()")

    def _call(self, method: str, *, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while True:
            answer = json.loads(self._read())
            if answer.get("id") == self._count:
                result: dict[str, Any] = answer.get("result", {})
                return result

    def _read(self) -> bytes:
        while (end := self._received.find(b"\0")) < 0:
            assert select.select([self._answers], [], [], PATIENCE_SECONDS)[0], "the browser does not answer"
            piece = os.read(self._answers.fileno(), 65536)
            assert piece, "the browser has ended"
            self._received += piece
        found = bytes(self._received[:end])
        del self._received[: end + 1]
        return found


@contextmanager
def browser(directory: Path) -> Iterator[Chromium]:
    """Run Chromium until the end of the block, with its profile in ``directory``."""
    path = program("chromium", package="apt-get install chromium")
    read_commands, write_commands = os.pipe()
    read_answers, write_answers = os.pipe()
    with (directory / "chromium.log").open("wb") as log:
        argv = ["bash", "-c", _START, path, str(directory / "profile"), str(read_commands), str(write_answers)]
        running = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            pass_fds=(read_commands, write_answers), env={"PATH": os.environ["PATH"], "HOME": str(directory)},
        )  # fmt: skip
    os.close(read_commands)
    os.close(write_answers)
    with os.fdopen(write_commands, "wb") as commands, os.fdopen(read_answers, "rb") as answers:
        try:
            yield Chromium(commands, answers)
        finally:
            running.terminate()
            running.wait(PATIENCE_SECONDS)
