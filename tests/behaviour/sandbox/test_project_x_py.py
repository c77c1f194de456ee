"""A public client of ProjectX against the sandbox: project-x-py from PyPI logs in, reads its accounts, renews, leaves.

It needs Python 3.12 and packages of 300 MB, so it has an environment of its own: ``TOKEND_PROJECT_X_PY`` names its
Python (``.ci/lock/project-x-py.txt``). Every host but loopback is out of its reach.
"""

import json
import os
import subprocess
from typing import Any

import pytest

from tests.sandbox.player import Play, play
from tokend.sandbox import Options

__all__ = ["play"]

PYTHON = os.environ.get("TOKEND_PROJECT_X_PY", "")
pytestmark = pytest.mark.skipif(
    not PYTHON, reason="needs project-x-py in an environment of its own: set TOKEND_PROJECT_X_PY to its Python"
)

PROGRAM = """
import asyncio, json, sys

from project_x_py import ProjectX
from project_x_py.models import ProjectXConfig


async def main(url, username, api_key):
    config = ProjectXConfig(api_url=url + "/api")
    async with ProjectX(username=username, api_key=api_key, config=config) as client:
        await client.authenticate()
        first = client.session_token
        account = client.get_account_info()
        print(json.dumps({
            "account": [account.id, account.name, account.balance, account.simulated],
            "accounts": [each.name for each in await client.list_accounts()],
            "validated": await client.validate_session(),
            "renewed": client.session_token != first,
            "left": await client.logout(),
        }))


asyncio.run(main(*sys.argv[1:]))
"""


def run(url: str, api_key: str) -> subprocess.CompletedProcess[str]:
    """Run the client's program; a proxy that nobody serves keeps it from all other hosts."""
    nowhere = "http://127.0.0.1:9"
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "no_proxy": "127.0.0.1"}
    environ |= dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), nowhere)
    argv = [PYTHON, "-c", PROGRAM, url, "sandbox-user", api_key]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=100, check=False)


def test_the_client_logs_in_reads_its_accounts_renews_its_token_and_leaves(play: Play) -> None:
    """Every field that it reads is there, `simulated` among them."""
    player = play()
    done = run(player.sandbox.url, Options().projectx_api_key)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found == {
        "account": [1, "SANDBOX-50K", 50000.0, True],
        "accounts": ["SANDBOX-50K"],
        "validated": True,
        "renewed": True,
        "left": True,
    }
    assert [path for _, path, status in player.log("projectx") if status == 200] == [
        "/api/Auth/loginKey",
        "/api/Account/search",
        "/api/Account/search",
        "/api/Auth/validate",
        "/api/Auth/logout",
    ]


def test_a_wrong_key_is_an_authentication_error_of_the_client(play: Play) -> None:
    """It reads the error code in the 200."""
    done = run(play().sandbox.url, "a-wrong-key")
    assert done.returncode != 0
    assert "ProjectXAuthenticationError" in done.stderr
