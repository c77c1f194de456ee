"""Text of answers on a terminal: a hostile server's control characters, as each command shows them."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from tests.cli.running import environment
from tests.client.fake_daemon import answering, http
from tokend.cli.streams import escaped, escaped_values

# Sets the window's title, as C0 and as C1 sequence, and goes back to the line's beginning.
EVIL = "a\x1b]0;fake\x07b\x9b2Jc\rd\x7f\u202e"
SHOWN = "a\\x1b]0;fake\\x07b\\x9b2Jc\\rd\\x7f\\u202e"
NEVER = (b"\x1b", b"\x07", "\x9b".encode(), b"\x7f", "\u202e".encode())


def row(**changed: Any) -> dict[str, Any]:
    """A row of a status whose texts are all hostile."""
    return {
        "name": "tt", "kind": EVIL, "state": EVIL, "valid": True, "expires_at": None, "refresh_at": None,
        "generation": EVIL, "fingerprint": EVIL, "required": True, "seconds_left": None, "failures": 0,
        "last_error": {"class": EVIL, "detail": EVIL, "at": "2025-01-01T00:00:00Z"}, "next_attempt_at": None,
        "sinks": [{"kind": EVIL, "target": EVIL, "path": EVIL, "state": EVIL, "last_success_at": None, "error": EVIL,
                   "required": True}],
        "note": EVIL, **changed,
    }  # fmt: skip


def token(value: str = EVIL) -> dict[str, Any]:
    """The answer with a token."""
    return {
        "version": 1, "name": EVIL, "access_token": value, "token_type": EVIL, "expires_at": None,
        "expires_at_unix": None, "issued_at": "2025-01-01T00:00:00Z", "generation": EVIL, "fingerprint": EVIL,
        "headers": {"Authorization": "Bearer x"},
    }  # fmt: skip


STATUS = {
    "version": 1, "ready": False, "config": {"loaded_at": "2025-01-01T00:00:00Z", "error": f"{EVIL}\nsecond line"},
    "tokens": [row()],
}  # fmt: skip
PLAN = {"version": 1, "plan": [{"name": EVIL, "action": EVIL}]}


def on_terminal(arguments: Sequence[str], socket: str) -> bytes:
    """What a command writes to a terminal, stdout and stderr."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tokend", *arguments]
    settings = environment(TOKEND_SOCKET=socket, NO_COLOR="1")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=settings) as process:
        os.close(theirs)
        found = b""
        try:
            while chunk := os.read(ours, 65536):
                found += chunk
        except OSError:  # the other side is closed
            pass
        process.wait()
    os.close(ours)
    return found.replace(b"\r\n", b"\n")  # the terminal's own


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("list",), {"version": 1, "tokens": [row()]}),
        (("status",), STATUS),
        (("status", "tt"), STATUS),
        (("verify", "tt"), STATUS),
        (("verify", "tt"), {**STATUS, "tokens": [row(valid=False)]}),
        (("refresh", "tt"), token()),
        (("reload",), PLAN),
        (("get", "tt", "-o", "json"), token()),
        (("issue", "tt", "a=b"), token()),
        (("request-id", "tt"), {"request_id": EVIL}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_no_control_character_reaches_a_terminal(arguments: tuple[str, ...], answer: dict[str, Any]) -> None:
    """Escaped as Python writes them; nothing of the text is lost. Unescaped JSON is sent, as no daemon does."""
    body = json.dumps(answer, ensure_ascii=False).replace("\\u001b", "\x1b").replace("\\u0007", "\x07")
    with answering(http(json.dumps(answer).encode() if arguments[0] != "get" else body.encode())) as server:
        shown = on_terminal(arguments, server.path)
    assert not any(control in shown for control in NEVER), shown
    assert b"x1b]0;fake" in shown, shown
    assert b"\r" not in shown


def test_the_token_alone_is_escaped_on_a_terminal_and_goes_unchanged_into_a_pipe() -> None:
    """A program gets what the daemon has; a terminal gets no control character but the line's end."""
    with answering(http(EVIL.encode(), content_type="text/plain")) as server:
        assert on_terminal(("get", "tt"), server.path) == SHOWN.encode() + b"\n"
        argv = [sys.executable, "-m", "tokend", "get", "tt"]
        done = subprocess.run(argv, capture_output=True, env=environment(TOKEND_SOCKET=server.path), check=True)
        assert done.stdout == EVIL.encode() + b"\n"


def test_watch_escapes_its_lines() -> None:
    """The stream ends with its reader; the line is there before. A generation that is no number is no token's."""
    nothing = http(b'{"version": 1, "tokens": []}')
    with answering(nothing, http(json.dumps({**token("fake"), "generation": 1}).encode())) as server:
        argv = [sys.executable, "-m", "tokend", "watch", "tt"]
        settings = environment(TOKEND_SOCKET=server.path)
        with subprocess.Popen(argv, stdout=subprocess.PIPE, env=settings) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            process.kill()
    assert b"\\x1b]0;fake" in line
    assert not any(control in line for control in NEVER)


def test_a_completion_offers_only_names_that_tokens_can_have() -> None:
    """The shell puts a completion into the command line as it stands."""
    rows = [row(name=name, kind="fake", state="valid") for name in ("tt", "t$(id)", "t;id", "t\nid", "t" * 65)]
    with answering(http(json.dumps({"version": 1, "tokens": rows}).encode())) as server:
        settings = environment(TOKEND_SOCKET=server.path) | {
            "_TOKEND_COMPLETE": "bash_complete", "COMP_WORDS": "tokend verify t", "COMP_CWORD": "2",
        }  # fmt: skip
        done = subprocess.run([sys.executable, "-m", "tokend"], capture_output=True, env=settings, text=True)
    assert done.stdout == "plain,tt\n"


def test_letters_of_all_languages_stay() -> None:
    """Only what cannot be printed is escaped, in values and in keys."""
    assert escaped("grün 漢字 é") == "grün 漢字 é"
    assert escaped("a\nb", kept="\n") == "a\nb"
    assert escaped("\ud800") == "\\ud800"
    assert escaped_values({"\x1b": ["\r", 7, None, {"a": "\x07"}]}) == {"\\x1b": ["\\r", 7, None, {"a": "\\x07"}]}
