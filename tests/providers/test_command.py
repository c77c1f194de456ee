"""Kind ``command``: a token that a program prints, and what the end of the program means."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from tests.daemon.harness import until
from tests.providers.live import ENVIRON, NOW, LiveRuntime, at, env
from tokend.engine.policy.settings_change import is_surely_another_account
from tokend.engine.records.fingerprints import identify
from tokend.machine.command import EndedCommand
from tokend.plugin.provider import Provider
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.secret_table import SecretTable
from tokend.providers.command import Command
from tokend.values.errors import AttemptError, RejectedError, SecretError, TransientError, UnsafePathError
from tokend.values.secret import Secret
from tokend.values.tokens import Token

ENVIRONMENT = {**ENVIRON, "PATH": os.environ["PATH"], "HOME": "/home/fake"}


def settings(script: str, *words: str, **more: Any) -> Command:
    """Return the settings of a program that is a shell script."""
    return Command.model_validate({"command": ["sh", "-c", script, "mint", *words], **more})


def run(made: Command, previous: Token | None = None) -> Token | AttemptError:
    """Make one attempt."""

    async def main() -> Token | AttemptError:
        try:
            return await made.fetch(LiveRuntime(made, environ=ENVIRONMENT), previous)
        except AttemptError as error:
            return error

    return anyio.run(main)


def minted(made: Command, previous: Token | None = None) -> Token:
    outcome = run(made, previous)
    assert isinstance(outcome, Token), outcome
    return outcome


def refused(made: Command) -> AttemptError:
    outcome = run(made)
    assert isinstance(outcome, AttemptError)
    return outcome


def test_a_program_prints_a_token() -> None:
    """Its words are words of no shell, and its standard error is nobody's business."""
    made = settings('printf %s "$1"; echo planted >&2', "fake $HOME", lifetime="10m")
    token = minted(made)
    assert (token.value.reveal(), token.token_type) == ("fake $HOME", "Bearer")
    assert (token.issued_at, token.expires_at) == (at(NOW), at(NOW + 600))
    assert isinstance(made, Provider)


def test_a_lifetime_counts_from_the_start_of_the_program() -> None:
    """The upstream may have counted from then, and the program took its time."""
    made = settings('printf \'{"access_token": "fake", "expires_in": 600}\'', format="oauth")

    class Slow(LiveRuntime):
        async def run_command(self, *words: Any, **more: Any) -> EndedCommand:
            ended = await super().run_command(*words, **more)
            self.clock.step(40)
            return ended

    async def main() -> Token:
        return await made.fetch(Slow(made, environ=ENVIRONMENT), None)

    token = anyio.run(main)
    assert (token.issued_at, token.expires_at) == (at(NOW), at(NOW + 600))


def test_the_program_gets_a_clean_environment_and_the_variables_of_the_table() -> None:
    """Text as it stands there, and secrets from their places."""
    table = {"PROFILE": "prod", "KEY": env("API_KEY"), "PATH": ENVIRONMENT["PATH"] + ":/nowhere"}
    token = minted(settings("env | grep -v ^_= | grep -v ^PWD= | sort | tr '\\n' ' ' | head -c -1", env=table))
    shown = f"HOME=/home/fake KEY=fake-api-key PATH={ENVIRONMENT['PATH']}:/nowhere PROFILE=prod"
    assert token.value.reveal().replace(" SHLVL=0", "") == shown


def test_a_plugin_of_kubernetes_is_asked_as_kubectl_asks() -> None:
    """Some print nothing without it. A variable of the table stands in for it."""
    said = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "%s"}}'
    script = f'printf \'{said}\' "$(printf %s "$KUBERNETES_EXEC_INFO" | tr -d \'"\')"'
    asked = minted(settings(script, format="exec-credential")).value.reveal()
    wanted = "{apiVersion:client.authentication.k8s.io/v1,kind:ExecCredential,spec:{interactive:false}}"
    assert asked == wanted
    own = settings(script, format="exec-credential", env={"KUBERNETES_EXEC_INFO": "fake"})
    assert minted(own).value.reveal() == "fake"


@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        ("exit 1", TransientError, "failed with exit status 1"),
        ("printf planted; exit 4", TransientError, "failed with exit status 4"),
        ("exit 3", RejectedError, "ended with exit status 3, which rejected_exit names"),
        ("exit 255", RejectedError, "ended with exit status 255"),
        ("kill -9 $$", TransientError, "was ended by signal 9"),
        ("exec sleep 60", TransientError, "did not end within 0.3 s: it was killed"),
        ("exec cat /dev/zero", TransientError, "printed more than 256 KiB: it was killed"),
        ("true", TransientError, "printed no token"),
        ("echo planted; echo planted", TransientError, "printed a token that holds control"),
    ],
)
def test_the_end_of_the_program_decides_what_happens_next(script: str, error: type[AttemptError], said: str) -> None:
    """Only a status that the operator names is about the credentials. The output is never quoted."""
    timeout = "300ms" if "sleep" in script else "20s"
    outcome = refused(settings(script, rejected_exit=[3, 255], timeout=timeout))
    assert type(outcome) is error
    assert outcome.detail.startswith("command sh ")
    assert said in outcome.detail
    assert "planted" not in outcome.detail


def test_a_program_out_of_time_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    """A child that goes on would answer nobody."""
    mark = tmp_path / "pid"
    mark.touch()
    for seconds in (1, 5, 20):  # a busy machine may need longer for the child than the program has
        outcome = refused(settings(f"sleep 60 & echo $! > {mark}; wait", timeout=f"{seconds}s"))
        assert f"did not end within {seconds} s" in outcome.detail
        if child := mark.read_text():
            break
    until(lambda: not is_running(int(child)), "the end of the child")


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended and that nobody waits for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_cannot_be_started_is_named() -> None:
    """The name only where it looks like one: a secret may stand there by mistake."""
    assert refused(Command(command=("/nonexistent/mint",))).detail == (
        "command /nonexistent/mint cannot be run: No such file or directory"
    )
    outcome = refused(Command(command=("ghp_obviouslyFakeObviouslyFake0123456789",)))
    assert outcome.detail == "command (not shown) cannot be run: No such file or directory"


def test_a_program_that_others_may_change_is_not_run(tmp_path: Path) -> None:
    """It would run as the daemon's user."""
    program = tmp_path / "mint"
    program.write_text("#!/bin/sh\nprintf fake\n")
    program.chmod(0o777)
    assert isinstance(refused(Command(command=(str(program),))), UnsafePathError)
    program.chmod(0o755)
    assert minted(Command(command=(str(program),))).value.reveal() == "fake"


def test_a_secret_that_cannot_be_read_or_passed_is_an_error_of_the_secret() -> None:
    """The program is not run without it."""
    for source in (SecretSource(env="NOT_SET"), SecretSource(command=("printf", "a\\000b"))):
        assert type(refused(settings("printf fake", env={"KEY": source}))) is SecretError


def test_a_cached_answer_does_not_prolong_the_token() -> None:
    """Programs cache, and print the seconds of the first answer."""
    made = settings('printf \'{"access_token": "fake", "expires_in": 600}\'', format="oauth")
    before = Token(Secret("fake"), "Bearer", at(NOW - 300), at(NOW + 300))
    assert not minted(made, before).is_extended
    made = settings(f'printf \'{{"access_token": "fake", "expires_at": {NOW + 900}}}\'', format="oauth")
    token = minted(made, before)
    assert (token.is_extended, token.expires_at) == (True, at(NOW + 900))


def test_the_program_its_words_and_its_text_name_the_account() -> None:
    """A secret is a credential, which may rotate, but another provider's token stands for that one's account."""
    table = {"PROFILE": "prod", "KEY": {"file": "/run/key"}, "UP": {"token": "other"}}
    made = settings("x", env=table, lifetime="1h")
    assert made.account_fields == {"command", "env_text", "env.UP"}
    assert made.env_text == {"PROFILE": SecretSource(literal=Secret("prod"))}
    assert made.request_fields() == {"kind", "command", "env", "format", "lifetime"}
    assert set(made.secrets()) == {"env.KEY", "env.UP"}
    assert settings("x", env=SecretTable()).secrets() == {}
    assert (made.local, made.upstream, made.signs_here) == (False, None, False)


@pytest.mark.parametrize(
    ("change", "is_another"),
    [
        ({"command": ["sh", "-c", "y"]}, True),
        ({"env": {"PROFILE": "test", "KEY": {"file": "/run/key"}}}, True),
        ({"env": {"KEY": {"file": "/run/key"}}}, True),
        ({"env": {"PROFILE": "prod", "KEY": {"file": "/run/other"}}}, False),
        ({"env": {"PROFILE": "prod"}}, False),
        ({"format": "oauth", "lifetime": "1h", "rejected_exit": [1], "timeout": "9s"}, False),
    ],
    ids=str,
)
def test_a_reload_withdraws_the_token_of_another_account_only(change: dict[str, Any], is_another: bool) -> None:
    """What is known without a secret's content is known at once."""
    before = {"command": ["sh", "-c", "x"], "env": {"PROFILE": "prod", "KEY": {"file": "/run/key"}}}
    old, new = (Command.model_validate(keys) for keys in (before, {**before, **change}))
    assert is_surely_another_account(old, new) is is_another
    digests = [anyio.run(identify, one, Revealing(), lambda raw: raw.hex(), lambda name: None) for one in (old, new)]
    assert (digests[0].account != digests[1].account) is is_another
    assert b"fake-content".hex() not in digests[0].account
    assert b"fake-content".hex() in digests[0].secrets


class Revealing(LiveRuntime):
    """A runtime that has all secrets."""

    def __init__(self) -> None:
        super().__init__(settings("x"))

    async def reveal(self, source: SecretSource) -> Secret:
        return source.literal or Secret("fake-content")


def test_a_word_that_looks_like_a_secret_is_warned_of() -> None:
    """Every user of the machine reads the words of a process."""
    assert settings("x").warnings({}) == ()
    (warning,) = settings("x", "ghp_obviouslyFakeObviouslyFake0123456789").warnings({})
    assert "put it into env" in warning
    assert "ghp_" not in warning


def test_a_program_that_is_not_there_is_warned_of(tmp_path: Path) -> None:
    """It may be in the PATH of the unit, or of the table."""
    made = Command(command=("tokend-obviously-not-there",))
    assert made.warnings({}) == ("command: tokend-obviously-not-there is no program on this machine that may be run",)
    program = tmp_path / "tokend-obviously-not-there"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    keys = {"command": ["tokend-obviously-not-there"], "env": {"PATH": str(tmp_path)}}
    assert Command.model_validate(keys).warnings({}) == ()


@pytest.mark.parametrize(
    "keys",
    [
        {"command": []}, {"command": [""]}, {"command": ["a\0b"]}, {"command": "sh"}, {"command": ["x", 1]},
        {"format": "yaml"}, {"lifetime": "0s"}, {"lifetime": 5}, {"rejected_exit": [0]}, {"rejected_exit": [256]},
        {"rejected_exit": ["3"]}, {"rejected_exit": 3}, {"env": {"A-B": "x"}}, {"env": ["A=b"]}, {"shell": True},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_keys_without_a_meaning_are_refused(keys: dict[str, Any]) -> None:
    """Before anything runs."""
    with pytest.raises(ValidationError):
        Command.model_validate({"command": [sys.executable], **keys})
