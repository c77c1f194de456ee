"""Bugs are logged by class and place; what an error that is not ours says may be the secret that it failed at."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.secrets.search import traces

SECRET = "91c2ba57-planted-fake-token-0ddba11e"
_BUGS = """
import sys, threading
from tokend.machine import hardening, logs
from tokend.values.errors import StoreError
hardening.harden()
logs.configure(level="debug", form=sys.argv[1])
planted = sys.stdin.read()

def bug():
    wanted, given = planted, {}
    try:
        given[wanted]
    except KeyError:
        try:
            raise UnicodeEncodeError("ascii", wanted, 0, 1, wanted)
        except UnicodeEncodeError as error:
            error.add_note(wanted)
            raise ExceptionGroup(wanted, [ValueError(wanted), OSError(wanted), OSError(28, wanted, wanted)]) from error

class Dying:
    def __del__(self):
        bug()
"""
WAYS = {
    "logged": 'try: bug()\nexcept Exception: logs.get_logger().exception("worker.crashed", token="tt")',
    "uncaught": "bug()",
    "in a thread": "thread = threading.Thread(target=bug); thread.start(); thread.join()",
    "in a destructor": "Dying()",
}


def shown(form: str, script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _BUGS + script, form],
        input=SECRET,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize(
    ("way", "form"), [*((way, "console") for way in WAYS), ("logged", "logfmt"), ("logged", "json")]
)
def test_a_bug_is_reported_by_class_and_place_without_values(way: str, form: str) -> None:
    """docs/promises.md 107: in every form of the log, and where nobody catches it."""
    text = shown(form, WAYS[way])
    assert traces({"it": SECRET}, text.encode()) == []
    for told in ("KeyError", "UnicodeEncodeError", "ExceptionGroup", "ValueError", "OSError: No space left", "in bug"):
        assert told in text, told


def test_what_is_written_for_the_operator_is_reported() -> None:
    """Our own errors, and those of Python that only name names."""
    for raised, told in {
        'StoreError("the state is damaged")': "tokend.values.errors.StoreError: the state is damaged",
        "object().frobnicate": "AttributeError: 'object' object has no attribute 'frobnicate'",
        "OSError(13, 'x')": "PermissionError: Permission denied",
    }.items():
        assert told in shown("console", f"raise {raised}")


def test_no_keys_of_tls_connections_are_written(tmp_path: Path) -> None:
    """SSLKEYLOGFILE: with what Python would write there, a recorded connection can be read."""
    script = (
        "import os, ssl; os.environ['SSLKEYLOGFILE'] = sys.argv[2]; hardening.harden()\n"
        "print(ssl.create_default_context().keylog_filename, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", _BUGS + script, "console", str(tmp_path / "keys")],
        input=SECRET, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == "None\n"
    assert not (tmp_path / "keys").exists()
