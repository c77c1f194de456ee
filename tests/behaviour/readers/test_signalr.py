"""The SignalR recipes of docs/recipes.md, with the real clients, against a hub that wants the newest token."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.behaviour.readers.hub import Hub, hub
from tests.behaviour.readers.programs import lack, needs_npm_package
from tests.cli.running import PATIENCE_SECONDS, environment, eventually
from tests.docs.pages import ROOT, blocks
from tokend.client.testing import FakeTokend

RECIPES = ROOT / "docs/recipes.md"
HUB = "https://rtc.topstepx.com"


def shown(language: str, word: str) -> str:
    """The program of the page with this word in it."""
    (found,) = [block.text for block in blocks(RECIPES, language) if word in block.text]
    return found


@contextmanager
def started(argv: list[str], **environ: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a client until the end of the block; its output is not read, as it logs as it likes."""
    process = subprocess.Popen(
        argv, env=environment(**environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)


def reconnects_with_the_newest_token(fake: FakeTokend, server: Hub) -> bool:
    """Whether a client that is connected comes back with the next token after its connection broke."""
    assert eventually(lambda: server.tokens == ["first"]), server.tokens
    assert eventually(lambda: server.handshakes == 1)
    server.accepted = {"second"}
    fake.rotate("topstepx")
    server.drop_connections()
    return eventually(lambda: server.handshakes == 2) and server.tokens[-1] == "second"


def test_the_javascript_client_asks_again_at_each_connection(tmp_path: Path) -> None:
    """`accessTokenFactory` with `withAutomaticReconnect`."""
    needs_npm_package("@microsoft/signalr")
    function = shown("js", "fetch('https://partner").partition("\ntoken('partner')")[0]
    with FakeTokend({"topstepx": ["first", "second"]}) as fake, hub() as server:
        server.accepted = {"first"}
        file = tmp_path / "bot.js"
        file.write_text(function + shown("js", "HubConnectionBuilder").replace(HUB, server.url))
        with started(["node", str(file)], TOKEND_SOCKET=fake.socket, NODE_PATH=os.environ.get("NODE_PATH", "")):
            assert reconnects_with_the_newest_token(fake, server)


def test_the_python_client_asks_again_at_each_start(tmp_path: Path) -> None:
    """`access_token_factory`, and `start` when the connection has closed."""
    if importlib.util.find_spec("signalrcore") is None:
        lack("signalrcore is not installed: pip install signalrcore")
    with FakeTokend({"topstepx": ["first", "second"]}) as fake, hub() as server:
        server.accepted = {"first"}
        file = tmp_path / "bot.py"
        file.write_text(shown("python", "HubConnectionBuilder").replace(HUB, server.url))
        with started([sys.executable, str(file)], TOKEND_SOCKET=fake.socket, PYTHONPATH=str(ROOT)):
            assert reconnects_with_the_newest_token(fake, server)
