"""A reader in another language, as docs/recipes.md shows it: node's own `http` with `socketPath`."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.running import PATIENCE_SECONDS, Running
from tests.client.upstream import Said, upstream
from tests.docs.pages import ROOT, blocks
from tokend.client.testing import FakeTokend

PROGRAM = """
const http = require('node:http')
const options = { socketPath: process.env.TOKEND_SOCKET, path: '/v1/tokens/tt' }
http.get(options, response => {
  let body = ''
  response.on('data', piece => { body += piece })
  response.on('end', () => console.log(response.statusCode, JSON.parse(body).headers.Authorization))
})
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node_reads_a_token_from_the_socket(running: Running) -> None:
    """Status 200, and the header ready to send."""
    done = subprocess.run(
        ["node", "-e", PROGRAM],
        env={"TOKEND_SOCKET": str(running.socket), "PATH": "/usr/bin:/bin:/usr/local/bin"},
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout == f"200 Bearer {running.client.get('tt').access_token}\n"


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize(("good", "printed", "tokens"), [
    ("first", "200\n", ["first"]), ("second", "200\n", ["first", "second"]), ("third", "401\n", ["first", "second"]),
])  # fmt: skip
def test_the_program_of_the_page_reports_a_401_and_tries_once_more(
    tmp_path: Path, good: str, printed: str, tokens: list[str]
) -> None:
    """docs/replacing.md, `makeAuthenticatedRequest`: the newer token, once; a second 401 is the answer."""
    (program,) = [block.text for block in blocks(ROOT / "docs/replacing.md", "js")]
    with (
        FakeTokend({"partner": ["first", "second", "third"]}) as fake,
        upstream(lambda heard: Said(200 if heard.token == f"Bearer {good}" else 401)) as server,
    ):
        file = tmp_path / "bot.js"
        file.write_text(program.replace("https://partner.example.com", server.origin))
        environ = {"TOKEND_SOCKET": fake.socket, "PATH": "/usr/bin:/bin:/usr/local/bin"}
        done = subprocess.run(["node", str(file)], env=environ, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (printed, "")
    assert [token for _, token in server.tokens()] == [f"Bearer {token}" for token in tokens]
    assert fake.reports == [("partner", 1, "unauthorized")][: len(tokens) - 1]
