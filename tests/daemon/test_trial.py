"""A trial and the state directory: what it keeps to, what it saves, and what it leaves alone."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import SOMEBODY, as_root, daemon
from tests.cli.trial_stage import attempts, configuration, tried
from tokend.sandbox import Options, Sandbox, start
from tokend.sandbox.faults import Behaviour


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with start(Options()) as started:
        yield started


@pytest.fixture
def config(sandbox: Sandbox) -> Iterator[Path]:
    with configuration(sandbox) as written:
        yield written


def test_minimum_intervals_of_the_state_directory_are_kept(config: Path, sandbox: Sandbox) -> None:
    """Also of an account that another provider, which is not tried, has used: TT allows one request in 10 s."""
    text = config.read_text()
    start_of = text.index("[providers.tt]")
    table = text[start_of : text.index("[[providers.tt.sinks]]")]
    config.write_text(text + table.replace("providers.tt", "providers.again"))
    assert tried(config, "tt")[0] == 0
    since = time.monotonic()
    assert tried(config, "again")[0] == 0
    assert time.monotonic() - since > 6
    assert attempts(sandbox, "tt") == 2


def test_a_pause_of_the_host_is_kept_and_nothing_is_sent(config: Path, sandbox: Sandbox) -> None:
    """A 429 with an hour's Retry-After: the next trial fails at once."""
    sandbox.stage.faults.set("projectx", Behaviour("rate_limit", retry_after="3600"))
    assert tried(config, "topstepx")[0] == 7
    sent = attempts(sandbox, "projectx")
    code, answer = tried(config, "topstepx")
    assert (code, attempts(sandbox, "projectx")) == (7, sent)
    assert "pause" in answer["trials"][0]["detail"]


def test_a_provider_is_tried_after_the_one_whose_token_it_needs(config: Path) -> None:
    """Whatever their order is. Where that one is not tried and has no token, it cannot be."""
    with config.open("a") as file:
        file.write('\n[providers.again]\nkind = "jwt"\nsecret = { token = "topstepx" }\n')
    code, answer = tried(config, "again")
    assert (code, answer["trials"][0]["detail"]) == (7, "waits for topstepx, which has no valid token now")
    code, answer = tried(config, "again", "topstepx")
    assert (code, [one["outcome"] for one in answer["trials"]]) == (0, ["ok", "ok"])


def test_beside_a_daemon_nothing_is_saved(config: Path, sandbox: Sandbox) -> None:
    """Its state directory is read and left alone; the result has a note."""
    with daemon(config) as running:
        running.becomes("partner", "valid")
        generation = running.row("partner")["generation"]
        code, answer = tried(config, "partner")
        assert code == 0
        assert "these attempts are not saved: state directory" in answer["note"]
        assert running.row("partner")["generation"] == generation


@as_root
def test_another_user_s_state_directory_is_read_and_left_alone(config: Path) -> None:
    """Root's files in it would be out of the daemon's reach."""
    state = config.parent / "state"
    state.mkdir(mode=0o700)
    os.chown(state, SOMEBODY, SOMEBODY)
    code, answer = tried(config, "partner")
    assert (code, list(state.iterdir())) == (0, [])
    assert f"{state} is another user's" in answer["note"]
