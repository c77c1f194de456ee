"""Kind ``file``: a token in a file that another program renews, read while that program may be writing."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest
from pydantic import ValidationError

from tests.providers.live import NOW, LiveRuntime, at
from tests.upstream.clocks import StandingClock
from tokend.plugin.provider import Provider
from tokend.providers.file import READINGS, File
from tokend.values.errors import AttemptError, TransientError, UnsafePathError
from tokend.values.secret import Secret
from tokend.values.tokens import Token

Step = Callable[[], object]


class WritingClock(StandingClock):
    """A clock during whose pauses another program takes its next steps."""

    def __init__(self, steps: Iterator[Step]) -> None:
        super().__init__(NOW)
        self._steps = steps
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        next(self._steps, lambda: None)()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "token"


def read(made: File, *steps: Step, previous: Token | None = None) -> tuple[Token | AttemptError, list[float]]:
    """Make one attempt while a program takes ``steps``. Return the result, and the pauses."""

    async def main() -> tuple[Token | AttemptError, list[float]]:
        runtime = LiveRuntime(made)
        runtime.clock = clock = WritingClock(iter(steps))
        try:
            return await made.fetch(runtime, previous), clock.slept
        except AttemptError as error:
            return error, clock.slept

    return anyio.run(main)


def token(made: File, *steps: Step, previous: Token | None = None) -> Token:
    outcome, _ = read(made, *steps, previous=previous)
    assert isinstance(outcome, Token), outcome
    return outcome


def refused(made: File, *steps: Step) -> str:
    outcome, _ = read(made, *steps)
    assert type(outcome) is TransientError
    return outcome.detail


def test_a_token_is_read_from_a_file(path: Path) -> None:
    """As it is, without a newline."""
    path.write_text("fake-token\n")
    made = File(path=path)
    assert token(made).value.reveal() == "fake-token"
    assert isinstance(made, Provider)
    assert (made.local, made.signs_here, made.upstream) == (True, False, None)


class Watchful(File):
    """A file that is read again although its last change was a while ago: a busy machine takes its time."""

    settled_seconds: ClassVar[float] = 300.0


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def write_again(path: Path, text: str) -> None:
    path.write_text(text)
    os.utime(path, (1, 1))  # another time for certain: that of the first writing may be the same


def test_a_file_that_was_changed_just_now_is_read_again_later(path: Path) -> None:
    """Its writer may have stopped in the middle: nothing of that is taken."""
    path.write_text("fake-")
    outcome, slept = read(Watchful(path=path), lambda: append(path, "tok"), lambda: append(path, "en"))
    assert isinstance(outcome, Token)
    assert outcome.value.reveal() == "fake-token"
    assert slept == [300.0] * 3


def test_the_same_text_that_was_written_again_is_no_proof(path: Path) -> None:
    """The next token may begin as the last one does."""
    path.write_text("fake-token")
    steps = (lambda: write_again(path, "fake-token"), lambda: append(path, "2"))
    outcome, slept = read(Watchful(path=path), *steps)
    assert isinstance(outcome, Token)
    assert outcome.value.reveal() == "fake-token2"
    assert len(slept) == 3


def test_a_writer_without_an_end_is_not_waited_for(path: Path) -> None:
    """Its end is noticed, and the file read again."""
    path.write_text("fake")
    outcome, slept = read(Watchful(path=path), *[lambda: append(path, "x")] * 99)
    assert isinstance(outcome, TransientError)
    assert outcome.detail == f"file {path} keeps changing while it is read"
    assert len(slept) == READINGS


@pytest.mark.parametrize("content", ["", "\n", "a\nb", '{"access_token": "fa'])
def test_what_is_no_token_is_refused_with_the_name_of_the_file(path: Path, content: str) -> None:
    """The old token stays, and the operator learns which file it is."""
    path.write_text(content)
    assert refused(File(path=path, format="oauth" if "{" in content else "raw")).startswith(f"file {path} holds ")


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    """So is one that goes while it is read."""
    assert refused(File(path=path)) == f"file {path} cannot be read: No such file or directory"
    path.write_text("fake-token")
    assert refused(Watchful(path=path), path.unlink) == f"file {path} cannot be read: No such file or directory"


def test_a_path_that_everybody_may_change_is_not_read(path: Path) -> None:
    """Somebody else would choose the token."""
    path.write_text("fake-token")
    path.chmod(0o666)
    outcome, _ = read(File(path=path))
    assert isinstance(outcome, UnsafePathError)


ACCOUNTS = {"accounts": [{"id": 1, "tok": "fake-one"}, {"id": 2, "tok": "fake-two", "until": NOW + 600}]}


@pytest.mark.parametrize(
    ("form", "select", "value", "end"),
    [
        ("raw", "accounts[?id==`2`].tok | [0]", "fake-two", None),
        ("oauth", "accounts[1].{access_token: tok, expires_at: until}", "fake-two", NOW + 600),
        ("raw", "accounts[0].tok", "fake-one", None),
    ],
)
def test_an_expression_selects_one_of_several_tokens(
    path: Path, form: str, select: str, value: str, end: float | None
) -> None:
    """It gives what the format reads: a string, or an object with other names."""
    path.write_text(json.dumps(ACCOUNTS))
    made = token(File.model_validate({"path": str(path), "format": form, "select": select}))
    assert (made.value.reveal(), made.expires_at) == (value, None if end is None else at(end))


@pytest.mark.parametrize(
    ("select", "said"),
    [
        ("nothing", "nothing at select = 'nothing'"),
        ("accounts", 'what is no string: format = "oauth" reads'),
        ("accounts[0].id", "what is no string"),
    ],
)
def test_an_expression_that_finds_no_token_says_so(path: Path, select: str, said: str) -> None:
    """The place is shown, not what is there."""
    path.write_text(json.dumps(ACCOUNTS))
    made = File.model_validate({"path": str(path), "select": select})
    assert said in refused(made)
    path.write_text("fake-token")
    assert refused(made) == f"file {path} holds something that is not acceptable JSON"


def test_seconds_count_from_the_writing_of_the_file(path: Path) -> None:
    """Not from its reading: a restart is no new life."""
    path.write_text('{"access_token": "fake", "expires_in": 3600}')
    written = path.stat().st_mtime - 600
    os.utime(path, (written, written))
    for made in (File(path=path, format="oauth"), File.model_validate({"path": str(path), "lifetime": "1h"})):
        assert token(made).life_seconds == pytest.approx(3600)
        left = at(NOW).until(token(made).expires_at or at(0))
        assert 2940 < left <= 3000
        os.utime(path, (written - 3600, written - 3600))
        assert refused(made) == f"file {path} holds a token that has expired already: discarded"
        path.write_text("fake")
        os.utime(path, (written, written))


def test_the_same_token_with_a_later_time_lives_on(path: Path) -> None:
    """The other program says so in the file."""
    path.write_text(json.dumps({"access_token": "fake", "expires_at": NOW + 900}))
    made = token(File(path=path, format="native"), previous=Token(Secret("fake"), "Bearer", at(NOW - 9), at(NOW + 9)))
    assert (made.is_extended, made.expires_at) == (True, at(NOW + 900))


def test_a_check_says_what_is_odd_about_the_file(path: Path) -> None:
    """A file that is not there yet is no error: another program brings it."""
    made = File(path=path)
    assert made.warnings({}) == (f"path: file {path} cannot be read: No such file or directory",)
    path.write_text("fake\ntoken")
    path.chmod(0o644)
    odd, exposed = made.warnings({})
    assert odd.startswith(f"path: file {path} holds a token that holds control")
    assert exposed == f"path: every user may read file {path} (mode 0644): chmod o-r {path}"
    path.write_text("fake-token")
    path.chmod(0o600)
    assert made.warnings({}) == ()
    path.chmod(0o602)
    assert made.warnings({}) == ()  # an error, which says more


def test_the_file_and_the_place_in_it_name_the_account(path: Path) -> None:
    """Its token is renewed: that is no other account."""
    made = File.model_validate({"path": str(path), "select": "a"})
    assert made.account_fields == {"path", "select"}
    assert made.request_fields() == {"kind", "path", "format", "select", "lifetime"}
    assert made == File.model_validate({"path": str(path), "select": "a"})
    assert made != File.model_validate({"path": str(path), "select": "b"})


@pytest.mark.parametrize(
    "keys", [{}, {"path": ""}, {"path": "~/x"}, {"select": "a["}, {"format": "yaml"}, {"lifetime": 3}, {"watch": True}]
)
def test_keys_without_a_meaning_are_refused(keys: dict[str, Any]) -> None:
    """With the position in an expression."""
    with pytest.raises(ValidationError):
        File.model_validate({"path": "/run/fake", **keys} if keys else {})
