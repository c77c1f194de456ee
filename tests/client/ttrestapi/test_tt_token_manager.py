"""`TTTokenManager` with a real daemon: the calls of a program that used the package TTRestAPI."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.cli.running import SOMEBODY, Running, as_root, environment
from tests.client.conftest import running
from tests.client.test_standard_library_only import isolated
from tokend.client import NotRunningError, TokenClient
from tokend.client.ttrestapi import TTTokenManager, format_bearer_token

__all__ = ["running"]

# The usage that the package's own README shows, with another import.
PROGRAM = """
from tokend.client.ttrestapi import TTTokenManager
from tokend.client.ttrestapi.tt_utils import format_bearer_token

for _ in range(3):
    token_manager = TTTokenManager(
        api_key="fake-key-of-the-program",
        api_secret="fake-secret-of-the-program",
        app_name="YourAppName",
        company_name="YourCompanyName"
    )
token = token_manager.get_token()
request_id = token_manager.generate_request_id()
print(format_bearer_token(token), request_id)
"""


def test_the_programs_own_calls_work_and_its_credentials_are_named_once(running: Running, tmp_path: Path) -> None:
    """The arguments are ignored: one line on stderr, without a value. No file appears."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment(TOKEND_SOCKET=str(running.socket)), cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    bearer, token, request_id = done.stdout.split()
    assert (bearer, token) == ("Bearer", running.client.get("tt").access_token)
    assert re.fullmatch(r"Test-YourCompany--[0-9a-f-]{36}", request_id)
    assert done.stderr.count("\n") == 1
    assert "api_key, api_secret, app_name, company_name ignored" in done.stderr
    assert "[providers.tt]" in done.stderr
    assert "of-the-program" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_tt_accepts_the_call_that_the_programs_make(running: Running) -> None:
    """Its own key, the formatted token, a request id: the headers and the query of the package's README."""
    text = running.config.read_text()
    url = re.search(r'base_url = "(http://[^"]+)"', text)
    assert url is not None
    manager = TTTokenManager(api_key="sandbox-tt-key", client=running.client)
    for _ in range(2):
        answer = requests.get(
            f"{url[1]}/ttuser/{manager.env_path_segment}/users",
            params={"requestId": manager.generate_request_id()},
            headers={"x-api-key": "sandbox-tt-key", "Authorization": format_bearer_token(manager.get_token())},
            timeout=40,
        )
        assert (answer.status_code, answer.json()["status"]) == (200, "Ok")


def test_a_forced_refresh_returns_a_newer_token(running: Running) -> None:
    """Then the plain call returns that one."""
    manager = TTTokenManager(client=running.client, name="private")
    before = manager.get_token()
    newer = manager.get_token(force_refresh=True)
    assert newer != before
    assert manager.get_token() == newer


@as_root
def test_every_reader_may_force_a_refresh(running: Running) -> None:
    """By the generation that he holds: only admins refresh unconditionally."""
    before = running.row("topstepx")["reports"]["count"]
    program = (
        "import json, logging, os, sys\n"
        "import tokend.client.ttrestapi, tokend.client.transport\n"
        "from tokend.client import TokenClient\n"
        f"os.setgroups([]); os.setresgid({SOMEBODY}, {SOMEBODY}, {SOMEBODY})\n"
        f"os.setresuid({SOMEBODY}, {SOMEBODY}, {SOMEBODY})\n"
        "manager = tokend.client.ttrestapi.TTTokenManager(client=TokenClient(sys.argv[1]), name='topstepx')\n"
        "before = manager.get_token()\n"
        "print(manager.get_token(force_refresh=True) != before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, running.socket], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert running.row("topstepx")["reports"]["count"] == before  # a wish is no report of a 401


def test_headers_and_parameters_are_ready_for_requests(running: Running) -> None:
    """The package's newer names of the same things."""
    manager = TTTokenManager(client=running.client, environment="SIM")
    assert manager.get_auth_header() == {"Authorization": f"Bearer {running.client.get('tt').access_token}"}
    first, second = manager.get_request_params(), manager.get_request_params()
    assert first["requestId"] != second["requestId"]
    assert manager.create_request_id().startswith("Test-YourCompany--")
    assert len({manager.generate_guid() for _ in range(2)}) == 2
    assert manager.env_path_segment == "ext_prod_sim"


@pytest.mark.parametrize(("environment", "segment"), [("UAT", "ext_uat_cert"), ("live", "ext_prod_live")])
def test_the_environment_may_be_in_any_case(environment: str, segment: str) -> None:
    """And decides nothing but the path."""
    assert TTTokenManager(environment=environment).env_path_segment == segment
    with pytest.raises(ValueError, match="UAT, LIVE or SIM"):
        TTTokenManager(environment="prod")


def test_without_a_daemon_the_reason_is_raised() -> None:
    """Never None, which a program would send as a token."""
    manager = TTTokenManager(client=TokenClient("/nonexistent", files="/nonexistent"))
    for call in (manager.get_token, manager.generate_request_id, manager.get_auth_header):
        with pytest.raises(NotRunningError, match="no daemon at"):
            call()


def test_older_and_newer_arguments_of_the_package_are_accepted(caplog: pytest.LogCaptureFixture) -> None:
    """Of both generations, in order and by name."""
    TTTokenManager("k", "s", "app", "company", "UAT", "tt_token.json", True, 600)
    TTTokenManager(environment="SIM", token_file_base="tt_token.json", auto_refresh=True, config_module=None)
    TTTokenManager(token_file="tt_token.json", refresh_buffer_seconds=600)
    assert "token_file_base" in caplog.text


def test_it_needs_nothing_but_the_standard_library() -> None:
    """As all of the client."""
    done = isolated("from tokend.client.ttrestapi import TTTokenManager; print(TTTokenManager().env_path_segment)")
    assert (done.stdout, done.stderr) == ("ext_uat_cert\n", "")
