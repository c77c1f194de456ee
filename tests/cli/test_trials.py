"""`tokend check --try`: real attempts against a sandbox, without a daemon."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import daemon, eventually, tokend
from tests.cli.trial_stage import attempts, configuration, tried
from tokend.sandbox import Options, Sandbox, start


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with start(Options()) as started:
        yield started


@pytest.fixture
def config(sandbox: Sandbox) -> Iterator[Path]:
    with configuration(sandbox) as written:
        yield written


def test_an_attempt_is_made_and_nothing_is_written_to_a_sink(config: Path, sandbox: Sandbox) -> None:
    """One request each. The token is in the state directory, where a start finds it; no token is shown."""
    done = tokend("check", str(config), "--try", "topstepx", "--try", "partner")
    assert done.code == 0
    head, *results = done.out.splitlines()
    assert head.startswith(f"{config}: ok, 8 providers")
    assert [line.split(", valid until ")[0] for line in results] == [
        "topstepx: ok: a token was issued",
        "partner: ok: a token was issued",
    ]
    assert attempts(sandbox, "projectx") == 1
    assert not (config.parent / "bot.env").exists()
    assert "eyJ" not in done.out + done.err
    with daemon(config) as running:
        running.becomes("topstepx", "valid")
        assert eventually((config.parent / "bot.env").exists)
        assert attempts(sandbox, "projectx") <= 2  # the second is that of "refused"


@pytest.mark.parametrize(
    ("name", "outcome", "code"), [("refused", "refused", 4), ("away", "failed", 7), ("wallet", "not_tried", 0)]
)
def test_the_exit_code_says_what_a_person_has_to_do(config: Path, name: str, outcome: str, code: int) -> None:
    """4: the credentials are refused. 7: no token. On-demand kinds have nothing to try without a caller."""
    found, answer = tried(config, name)
    assert (found, answer["ok"]) == (code, code == 0)
    [trial] = answer["trials"]
    assert (trial["name"], trial["outcome"], trial["expires_at"]) == (name, outcome, None)
    assert trial["detail"]
    assert (answer["errors"], answer["note"]) == ([], None)


def test_all_are_tried_and_the_worst_decides(config: Path, sandbox: Sandbox) -> None:
    """One attempt of each that is held, side by side."""
    done = tokend("check", str(config), "--try-all")
    outcomes = dict(line.split(": ")[:2] for line in done.out.splitlines()[1:])
    assert done.code == 4
    assert outcomes == {
        "topstepx": "ok", "tt": "ok", "partner": "ok", "private": "ok", "wallet": "not tried",
        "login-links": "not tried", "refused": "refused", "away": "failed",
    }  # fmt: skip
    assert (attempts(sandbox, "projectx"), attempts(sandbox, "tt")) == (2, 1)


def test_unknown_names_and_a_plan_beside_it_are_wrong_usage(config: Path) -> None:
    """Exit code 2, and the near miss; nothing is tried. So are errors of the configuration."""
    done = tokend("check", str(config), "--try", "topstep")
    assert done.code == 2
    assert 'there is no provider "topstep"; did you mean "topstepx"?' in done.err
    assert tokend("check", str(config), "--try", "tt", "--plan").code == 2
    config.write_text(config.read_text().replace('environment = "uat"', 'environment = "uta"'))
    assert tokend("check", str(config), "--try", "partner").code == 2
    assert not (config.parent / "state").exists()
