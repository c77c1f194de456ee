"""A reader in another language, as docs/recipes.md shows it: node's own `http` with `socketPath`."""

import shutil
import subprocess

import pytest

from tests.cli.running import PATIENCE_SECONDS, Running

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
