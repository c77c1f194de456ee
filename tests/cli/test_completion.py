"""`tokend completion`: the shells themselves complete commands and, from the daemon, tokens."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import PATIENCE_SECONDS, Running, environment, tokend
from tests.client.fake_daemon import answering, http
from tokend.cli.commands import COMMANDS

# What Tab does, without a terminal: bash's function is called, fish says what it would offer.
BASH = """\
eval "$(tokend completion bash)"
COMP_WORDS=(%s) COMP_CWORD=%d
_tokend_completion tokend
printf '%%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """\
compdef() { [[ $1 == _tokend_completion && $2 == tokend ]] && found=1 }
_describe() { for item in ${(P)3}; do print -r -- ${item%%%%:*}; done }
compadd() { while (( $# )); do [[ $1 == -a ]] && print -rl -- ${(P)2}; shift; done }
eval "$(tokend completion zsh)"
[[ -n $found ]] || exit 9
words=(%s) CURRENT=%d
_tokend_completion
"""
FISH = """\
tokend completion fish | source
complete -C 'tokend %s'
"""


def offered(running: Running, directory: Path, shell: str, *words: str) -> set[str]:
    """What a shell offers for the last of these words."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    program = directory / "tokend"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m tokend "$@"\n')
    program.chmod(0o755)
    quoted = " ".join(f"'{word}'" for word in ("tokend", *words))
    script = {
        "bash": BASH % (quoted, len(words)),
        "zsh": ZSH % (quoted, len(words) + 1),
        "fish": FISH % " ".join(words),
    }[shell]
    environ = environment(TOKEND_SOCKET=str(running.socket), HOME=str(directory), PYTHONPATH=str(Path.cwd()))
    environ["PATH"] = f"{directory}:{environ['PATH']}"
    plain = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    done = subprocess.run(
        [shell, *plain, "-c", script], env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert done.stderr == ""
    assert done.returncode == 0, done.stdout
    return {line.split("\t")[0] for line in done.stdout.splitlines() if line}


SHELLS = pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])


@SHELLS
def test_commands_are_completed(running: Running, tmp_path: Path, shell: str) -> None:
    """`tokend re<Tab>`."""
    assert offered(running, tmp_path, shell, "re") == {"refresh", "reload", "request-id"}


@SHELLS
@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("get", "p"), {"partner", "private"}),
        (("get", "w"), set()),
        (("issue", "w"), {"wallet"}),
        (("issue", "p"), set()),
        (("status", "w"), {"wallet"}),
        (("verify", "top"), {"topstepx"}),
        (("get", "-o", "c"), {"curl"}),
        (("request-id", ""), {"tt"}),
        (("sign", ""), {"login-links"}),
        (("check", "--try", "par"), {"partner"}),
    ],
)
def test_tokens_are_completed_from_the_daemon(
    running: Running, tmp_path: Path, shell: str, words: tuple[str, ...], names: set[str]
) -> None:
    """Held ones where they are read, on-demand ones where they are issued, all where both can be asked about."""
    assert offered(running, tmp_path, shell, *words) == names


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize(
    "words", [("check",), ("run", "--config"), ("init", "--output"), ("get", "--socket"), ("list", "--socket")]
)
def test_files_are_completed_where_a_file_is_wanted(
    running: Running, tmp_path: Path, shell: str, words: tuple[str, ...]
) -> None:
    """The shell is asked to complete files by itself."""
    found = asked(running, shell, *words, "")
    assert found == ["file"]


def asked(running: Running, shell: str, *words: str) -> list[str]:
    """The kinds of completion that the command asks a shell for."""
    line = " ".join(("tokend", *words))
    number = len(words)
    done = running.tokend(_TOKEND_COMPLETE=f"{shell}_complete", COMP_WORDS=line, COMP_CWORD=str(number))
    assert (done.code, done.err) == (0, "")
    return [part.split(",")[0] for part in done.out.split("\n")[:: 1 if shell == "bash" else 3] if part]


def test_descriptions_are_whole_sentences(running: Running) -> None:
    """Those of `tokend --help`, not cut off."""
    done = running.tokend(_TOKEND_COMPLETE="zsh_complete", COMP_WORDS="tokend ", COMP_CWORD="1")
    kinds = done.out.splitlines()
    texts = dict(zip(kinds[1::3], kinds[2::3], strict=True))
    assert texts == {name: text for name, (_, text) in COMMANDS.items()}
    assert not [text for text in texts.values() if text.endswith("...")]


def test_an_on_demand_token_whose_credentials_were_rejected_is_still_one() -> None:
    """It is offered where it is issued, and not where it is read."""
    kinds = {"links": "auth-token", "bot": "projectx"}
    rows = [{"name": name, "kind": kind, "state": "rejected"} for name, kind in kinds.items()]
    answer = json.dumps({"version": 1, "tokens": rows}).encode()
    with answering(http(answer)) as fake:
        for word, name in (("issue", "links"), ("get", "bot")):
            done = tokend(
                TOKEND_SOCKET=fake.path, _TOKEND_COMPLETE="bash_complete", COMP_WORDS=f"tokend {word} ", COMP_CWORD="2"
            )
            assert (done.out, done.err) == (f"plain,{name}\n", "")


def test_without_a_daemon_nothing_is_offered_and_nothing_said() -> None:
    """Tab must not print errors into the line that is being typed."""
    done = tokend(TOKEND_SOCKET="/nowhere", _TOKEND_COMPLETE="bash_complete", COMP_WORDS="tokend get ", COMP_CWORD="2")
    assert (done.code, done.out.strip(), done.err) == (0, "", "")


def test_other_shells_are_wrong_usage() -> None:
    """The three are named."""
    done = tokend("completion", "csh")
    assert (done.code, done.out) == (2, "")
    assert "'bash', 'zsh', 'fish'" in done.err


def test_the_labels_of_a_token_s_sinks_are_completed(running: Running) -> None:
    """The token's name stands before the option. Nothing for a token that is not there."""
    for words, labels in (("tt --sink ", ["json-1"]), ("tt --sink r", []), ("nosuch --sink ", []), ("--sink ", [])):
        line = f"tokend sync {words}"
        done = running.tokend(_TOKEND_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(line.count(" ")))
        assert (done.code, done.err) == (0, "")
        assert [part.split(",")[1] for part in done.out.split("\n") if part] == labels
