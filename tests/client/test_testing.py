"""`FakeTokend` for users' own tests: it answers as the real one does, by a real socket, and says what it was asked."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cli.running import PATIENCE_SECONDS, Running, eventually
from tests.client.test_standard_library_only import isolated
from tokend.client import BadRequestError, LoginRequiredError, TokenClient, UnknownTokenError, token
from tokend.client.testing import FakeTokend
from tokend.client.transport import exchange, json_object

KIND = [("Content-Type", "application/json")]


def test_programs_find_it_by_the_environment_while_the_block_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """$TOKEND_SOCKET is set, then as it was; the socket is gone. Also the command line reads from it."""
    monkeypatch.delenv("TOKEND_SOCKET", raising=False)
    with FakeTokend({"tt": "first"}) as outer:
        assert token("tt") == "first"
        argv = [sys.executable, "-m", "tokend", "get", "tt"]
        assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "first\n"
        with FakeTokend({"tt": "inner"}):
            assert token("tt") == "inner"
        assert os.environ["TOKEND_SOCKET"] == outer.socket
    assert "TOKEND_SOCKET" not in os.environ
    assert not Path(outer.socket).parent.exists()


def test_its_answers_have_the_real_ones_fields(running: Running) -> None:
    """A read, a list and a refusal have the same JSON keys and types in both."""
    with FakeTokend({"tt": "first"}, environ=False) as fake:
        report = b'{"if_generation": 0, "reason": "unauthorized"}'  # not the newest, so that nothing is asked for
        for method, target, body in (
            ("GET", "/v1/tokens/tt", b""), ("POST", "/v1/tokens/tt/refresh", report), ("GET", "/v1/tokens/no", b""),
        ):  # fmt: skip
            played, real = (
                json_object(exchange(path, method, target, headers=KIND, body=body)[2], path)
                for path in (fake.socket, str(running.socket))
            )
            types = {key: type(value) for key, value in real.items() if key not in ("retry_at", "instance")}
            assert {key: type(value) for key, value in played.items()} == types
        played_rows, rows = (TokenClient(path).list() for path in (fake.socket, str(running.socket)))
        row = next(row for row in rows if row["name"] == "tt")
        assert {key: type(value) for key, value in played_rows[0].items()} == {key: type(row[key]) for key in row}


def test_a_script_is_played_token_by_token() -> None:
    """A refresh goes on, once per generation; after the last token it finds the same one."""
    with FakeTokend({"tt": ["first", "second"]}, environ=False) as fake:
        client = TokenClient(fake.socket)
        assert client.refresh("tt", if_generation=1, reason="unauthorized").access_token == "second"
        assert client.refresh("tt", if_generation=1).generation == 2
        assert client.refresh("tt", if_generation=2).generation == 2
        with pytest.raises(BadRequestError, match="the newest is 2"):
            client.refresh("tt", if_generation=3)
        assert fake.reports == [("tt", 1, "unauthorized"), ("tt", 1, None), ("tt", 2, None), ("tt", 3, None)]


def test_a_rotation_reaches_every_watcher() -> None:
    """`rotate` answers long polls; with a token it needs no script."""
    with FakeTokend({"tt": "first"}, environ=False) as fake:
        seen: list[str] = []
        watching = TokenClient(fake.socket).watch("tt")
        thread = threading.Thread(target=lambda: seen.extend(next(watching).access_token for _ in range(2)))
        thread.start()
        assert eventually(lambda: len(fake.requests) == 2)
        assert fake.rotate("tt", "second") == 2
        thread.join(PATIENCE_SECONDS)
        assert seen == ["first", "second"]
        with pytest.raises(ValueError, match="no further token"):
            fake.rotate("tt")


def test_a_rejection_lasts_until_the_next_rotation() -> None:
    """Reads and refreshes are refused as by a daemon whose credentials are no longer good."""
    with FakeTokend({"tt": ["first", "second"]}, environ=False) as fake:
        client = TokenClient(fake.socket)
        fake.reject("tt", "InvalidCredentials")
        for ask in (client.get, client.refresh):
            with pytest.raises(LoginRequiredError, match="InvalidCredentials"):
                ask("tt")
        assert (client.list()[0]["state"], client.list()[0]["valid"]) == ("rejected", False)
        fake.rotate("tt")
        assert client.get("tt").access_token == "second"


def test_the_raw_token_an_unknown_name_and_too_long_a_wish() -> None:
    """text/plain, 404, and `min_ttl` above the hour that its tokens live."""
    with FakeTokend({"tt": "first"}, environ=False) as fake:
        assert exchange(fake.socket, "GET", "/v1/tokens/tt", headers=[("accept", "text/plain")])[2] == b"first"
        client = TokenClient(fake.socket)
        assert client.get("tt", min_ttl=60).access_token == "first"
        with pytest.raises(UnknownTokenError):
            client.get("other")
        with pytest.raises(BadRequestError, match="does not have this request"):
            client.issue("tt")
        with pytest.raises(Exception, match="does not live that long"):
            client.get("tt", min_ttl=3601)
    with pytest.raises(ValueError, match="tt needs a token"):
        FakeTokend({"tt": []})


def test_it_needs_nothing_but_the_standard_library() -> None:
    """A program's tests can use it where neither tokend's dependencies nor an HTTP library are installed."""
    done = isolated(
        "from tokend.client.testing import FakeTokend\nfrom tokend.client import token\n"
        "with FakeTokend({'tt': 'first'}): print(token('tt'))"
    )
    assert (done.stdout, done.stderr) == ("first\n", "")
