"""`tokend get` and `header`: the token on stdout and nothing else there, in each form, and in time."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.running import SOMEBODY, Running, as_root, environment, lines, tokend, tokend_as

LIGHT = {"click", "httpx", "pydantic", "anyio", "json", "socket", "argparse", "re", "typing", "pathlib", "datetime"}


def test_get_prints_the_token_and_one_newline_and_nothing_else(running: Running) -> None:
    """The payload and one newline on stdout; stderr stays empty."""
    done = running.tokend("get", "tt")
    assert (done.code, done.err) == (0, "")
    assert done.out == running.client.get("tt").access_token + "\n"


@pytest.mark.parametrize("arguments", [("tt", "-n"), ("-n", "tt"), ("-n", "-oraw", "--", "tt")])
def test_with_n_there_is_no_newline(running: Running, arguments: tuple[str, ...]) -> None:
    """`-n`, wherever it stands, also where click has to read the line: without the newline."""
    assert running.tokend("get", *arguments).out == running.client.get("tt").access_token


@pytest.mark.parametrize("arguments", [("-o", "json"), ("-ojson",), ("--output", "json"), ("--output=json",)])
def test_json_is_the_daemons_own_answer(running: Running, arguments: tuple[str, ...]) -> None:
    """`-o json`, however it is written: one object with "version": 1 and the headers."""
    done = running.tokend("get", "partner", *arguments)
    answer = json.loads(done.out)
    lease = running.client.get("partner")
    assert answer["version"] == 1
    assert answer["name"] == "partner"
    assert (answer["access_token"], answer["headers"]) == (lease.access_token, dict(lease.headers))


def test_env_names_the_variable_after_the_token(running: Running) -> None:
    """`env`: NAME_TOKEN=value, upper-cased."""
    assert running.tokend("get", "topstepx", "-o", "env").out == (
        f"TOPSTEPX_TOKEN={running.client.get('topstepx').access_token}\n"
    )


def test_shell_output_can_be_evaluated(running: Running) -> None:
    """`shell`: what a shell evaluates sets and exports the variable."""
    code = running.tokend("get", "partner", "-o", "shell").out + "env"
    done = subprocess.run(["sh", "-c", code], capture_output=True, text=True, check=True)
    assert f"PARTNER_TOKEN={running.client.get('partner').access_token}" in lines(done.stdout)


def test_curl_reads_the_headers_from_a_config(running: Running) -> None:
    """`curl`: lines for `curl -K -`."""
    expected = [f'header = "{name}: {value}"' for name, value in running.client.get("tt").headers.items()]
    assert lines(running.tokend("get", "tt", "-o", "curl").out) == expected


def test_every_output_that_the_help_lists_works(running: Running) -> None:
    """`-o` lists only what works; a form that cannot carry the token says so, without the token."""
    listed = running.tokend("get", "--help").out.partition("[raw|")[2].partition("]")[0]
    outputs = ["raw", *"".join(listed.split()).split("|")]
    assert {"raw", "json", "env", "shell", "header", "curl", "k8s", "aws", "gcp", "git", "netrc"} == set(outputs)
    value = running.client.get("partner").access_token
    for output in outputs:
        more = ("--host", "example.com") if output == "netrc" else ()
        done = running.tokend("get", "partner", "-o", output, *more)
        if output == "aws":
            assert (done.code, done.out) == (1, "")
            assert value not in done.err
            continue
        assert (done.code, done.err) == (0, ""), output
        assert value in done.out


def test_a_variable_may_have_another_name(running: Running) -> None:
    """`--key`: what an existing `.env` file or program calls it."""
    token = running.client.get("topstepx").access_token
    assert running.tokend("get", "topstepx", "-o", "env", "--key", "JWT_TOKEN").out == f"JWT_TOKEN={token}\n"
    assert running.tokend("get", "-oshell", "topstepx", "--key=JWT_TOKEN").out == f"export JWT_TOKEN='{token}'\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--key", "JWT_TOKEN"), "--key is for -o env and -o shell"),
        (("-o", "header", "--key", "JWT_TOKEN"), "--key is for -o env and -o shell"),
        (("-o", "env", "--key", "2FA"), "no digit first"),
        (("-o", "shell", "--key", "A-B"), "letters, digits and _"),
        (("-o", "shell", "--key", "A;rm"), "letters, digits and _"),
        (("-o", "env", "--key", "Ä"), "letters, digits and _"),
        (("-o", "env", "--key", ""), "letters, digits and _"),
    ],
)
def test_a_variable_that_is_none_is_refused(running: Running, arguments: tuple[str, ...], said: str) -> None:
    """Exit code 2, and nothing on stdout: a shell would run what stands in its place."""
    done = running.tokend("get", "topstepx", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize("arguments", [("-o", "netrc"), ("--host", "a.example"), ("-o", "raw", "--host=a.example")])
def test_a_host_belongs_to_netrc_and_nothing_else(running: Running, arguments: tuple[str, ...]) -> None:
    """`-o netrc` without `--host`, `--host` without it: exit code 2, one says what the other needs."""
    done = running.tokend("get", "tt", *arguments)
    assert (done.code, done.out) == (2, "")
    assert "-o netrc needs --host" in done.err


def test_an_unknown_output_is_wrong_usage(running: Running) -> None:
    """A wrong choice: exit code 2, the choices named, nothing on stdout."""
    done = running.tokend("get", "tt", "-o", "yaml")
    assert (done.code, done.out) == (2, "")
    assert "'yaml' is not one of 'raw', 'json'" in done.err


@pytest.mark.parametrize("option", ["--min-ttl", "--wait"])
@pytest.mark.parametrize("duration", ["5", "0s", "05s", "1.5s", "5 s", "-5s", "5S", "٣s", "", "5sm", "s", "1h30m"])
def test_a_wrong_duration_is_wrong_usage(running: Running, option: str, duration: str) -> None:
    """Durations are [1-9][0-9]*(ms|s|m|h|d); a bare number is an error, and what is right is shown."""
    done = running.tokend("get", "tt", f"{option}={duration}")
    assert (done.code, done.out) == (2, "")
    assert "500ms, 30s, 15m, 12h, 1d" in done.err


@pytest.mark.parametrize("duration", ["1ms", "10s", "5m", "1h"])
def test_a_min_ttl_that_is_met_costs_nothing(running: Running, duration: str) -> None:
    """`--min-ttl` below what is left: the token that is there."""
    assert running.tokend("get", "topstepx", "--min-ttl", duration).out.strip() == (
        running.client.get("topstepx").access_token
    )


def test_a_min_ttl_above_the_life_is_refused_with_7(running: Running) -> None:
    """`--min-ttl` above the life of a fresh token: a typed refusal, exit code 7, and no request."""
    before = running.row("topstepx")["generation"]
    done = running.tokend("get", "topstepx", "--min-ttl", "100d")
    assert (done.code, done.out) == (7, "")
    assert "min_ttl is 8640000 s, but a fresh token lives 86" in done.err
    assert running.row("topstepx")["generation"] == before


def test_an_unknown_token_is_5(running: Running) -> None:
    """No such token: exit code 5, one sentence that names it."""
    done = running.tokend("get", "nosuch")
    assert (done.code, done.out) == (5, "")
    assert lines(done.err) == ["tokend: no token 'nosuch' here, or none that you may read; `tokend list` shows yours"]


@pytest.mark.parametrize("name", ["a b", "a/b", "../tt", "tt?x=1", "tt#x", "tt%41", "é", ".", "", "TT", "tt "])
def test_a_name_with_strange_characters_is_just_unknown(running: Running, name: str) -> None:
    """Whatever a name is made of, it reaches the daemon as that name, and no other token is given."""
    done = running.tokend("get", name)
    assert (done.code, done.out) == (5, "")
    assert lines(done.err)[0].startswith("tokend: no token ")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", os.fsdecode(b"\xff")])
def test_a_name_that_could_steer_a_terminal_is_refused_without_doing_so(running: Running, name: str) -> None:
    """Control characters and broken UTF-8 in a name: exit code 2 or 5, and nothing raw on the terminal."""
    done = running.tokend("get", name)
    assert done.code in (2, 5)
    assert done.out == ""
    assert all(line.isprintable() for line in lines(done.err))
    assert len(lines(done.err)) == 1


def test_a_rejected_provider_is_4_with_its_reason(running: Running) -> None:
    """No valid token and a person must act: exit code 4, and why."""
    running.becomes("refused", "rejected")
    done = running.tokend("get", "refused")
    assert (done.code, done.out) == (4, "")
    assert "InvalidCredentials" in done.err


def test_an_upstream_that_is_away_is_7(running: Running) -> None:
    """No valid token now: exit code 7, and why."""
    done = running.tokend("get", "away")
    assert (done.code, done.out) == (7, "")
    assert "'away' has no valid value now" in done.err


@pytest.mark.parametrize(("duration", "least"), [("300ms", 0.3), ("1s", 1.0)])
def test_a_wait_without_result_is_124_in_time_with_the_reason(running: Running, duration: str, least: float) -> None:
    """`--wait` ran out: exit code 124, not before its time, and the reason is the token's, not the clock's."""
    began = time.monotonic()
    done = running.tokend("get", "away", "--wait", duration)
    assert (done.code, done.out) == (124, "")
    assert time.monotonic() - began >= least
    assert "no suitable token after" in done.err
    assert "'away' has no valid value now" in done.err


def test_waiting_ends_as_soon_as_there_is_a_token(running: Running) -> None:
    """`--wait` with a valid token there: at once."""
    done = running.tokend("get", "tt", "--wait", "1d")
    assert (done.code, done.out) == (0, running.client.get("tt").access_token + "\n")


def test_waiting_does_not_help_an_unknown_token(running: Running) -> None:
    """A reason that no wait can remove is reported at once."""
    assert running.tokend("get", "nosuch", "--wait", "1d").code == 5


@pytest.mark.parametrize("arguments", [(), ("--refresh",), ("-o", "json"), ("--wait", "1h")])
def test_an_on_demand_token_is_not_got_but_issued(running: Running, arguments: tuple[str, ...]) -> None:
    """`get` of an on-demand token: exit code 2, and the command that does it."""
    done = running.tokend("get", "login-links", *arguments)
    assert (done.code, done.out) == (2, "")
    assert "use `tokend issue login-links KEY=VALUE…`" in done.err


def test_refresh_brings_a_newer_token(running: Running) -> None:
    """`--refresh`: fetches first, prints the newer one."""
    before = running.client.get("partner").generation or 0
    done = running.tokend("get", "partner", "--refresh", "-o", "json", "--min-ttl", "1m")
    assert json.loads(done.out)["generation"] > before


@as_root
def test_a_reader_who_is_no_admin_may_ask_for_a_newer_token(running: Running) -> None:
    """Readers refresh by saying which generation will not do; `--refresh` does that for them."""
    before = running.client.get("partner").generation or 0
    done = tokend_as(SOMEBODY, "get", "partner", "--refresh", "-o", "json", TOKEND_SOCKET=str(running.socket))
    # Once three readers' attempts are used up, the daemon says so.
    assert done.code in (0, 7), done.err
    if done.code == 0:
        assert json.loads(done.out)["generation"] > before


def test_a_refresh_that_fails_waits_for_another_token_than_the_old_one(running: Running) -> None:
    """`--refresh --wait` where the upstream gives nothing: 124, not the refusal, and one attempt only."""
    running.becomes("refused", "rejected")
    failures = running.row("refused")["failures"]
    done = running.tokend("get", "refused", "--refresh", "--wait", "1s")
    assert (done.code, done.out) == (124, "")
    assert running.row("refused")["failures"] <= failures + 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument 'NAME'"),
        (("a", "b"), "unexpected extra argument"),
        (("tt", "--bogus"), "No such option"),
        (("tt", "--wait"), "requires an argument"),
        (("tt", "--refresh=yes"), "does not take a value"),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_wrong(running: Running, arguments: tuple[str, ...], said: str) -> None:
    """Usage errors: exit code 2, a sentence, nothing on stdout."""
    done = running.tokend("get", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_get_imports_next_to_nothing(running: Running) -> None:
    """The client path imports neither click nor httpx nor pydantic nor anything else that costs as much as Python."""
    program = (
        "import sys\nbefore = set(sys.modules)\nsys.argv = ['tokend', 'get', 'tt']\n"
        "from tokend.__main__ import main\nassert main() == 0\n"
        "print(*sorted(set(sys.modules) - before), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(TOKEND_SOCKET=str(running.socket)), capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(done.stderr.split())
    assert {name for name in loaded if name.startswith("tokend")} == {
        "tokend", "tokend.__main__", "tokend.cli", "tokend.cli.get", "tokend.cli.streams", "tokend.client",
        "tokend.client.errors", "tokend.client.transport",
    }  # fmt: skip
    assert not LIGHT & loaded


def test_no_form_of_get_imports_what_the_daemon_needs(running: Running) -> None:
    """Neither httpx nor pydantic nor anyio, whatever the output."""
    for output in ("json", "env", "shell", "header", "curl", "k8s", "gcp", "git", "netrc"):
        more = ["--host", "example.com"] if output == "netrc" else []
        program = (
            f"import sys\nsys.argv = ['tokend', 'get', 'partner', '-o', {output!r}, *{more!r}]\n"
            "from tokend.__main__ import main\nassert main() == 0\n"
            "assert not {'click', 'httpx', 'pydantic', 'anyio', 'structlog'} & set(sys.modules)"
        )
        subprocess.run(
            [sys.executable, "-c", program],
            env=environment(TOKEND_SOCKET=str(running.socket)), capture_output=True, check=True,
        )  # fmt: skip


@pytest.mark.parametrize("output", ["raw", "json", "shell", "header", "curl", "k8s", "gcp", "git"])
def test_every_form_of_get_comes_from_the_standard_library(running: Running, output: str) -> None:
    """By -X importtime: all loaded modules are Python's or tokend's own."""
    argv = [sys.executable, "-S", "-X", "importtime", "-m", "tokend", "get", "partner", "-o", output]
    done = subprocess.run(
        argv, env=environment(TOKEND_SOCKET=str(running.socket), PYTHONPATH=str(Path(__file__).parents[2])),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()[1:]}
    assert "tokend" in loaded
    assert loaded - {"tokend"} <= sys.stdlib_module_names
    assert not {"datetime", "typing", "pathlib", "socket", "argparse"} & loaded


def test_the_socket_option_goes_before_the_environment(running: Running) -> None:
    """`--socket` counts more than $TOKEND_SOCKET."""
    done = tokend("get", "tt", "--socket", str(running.socket), TOKEND_SOCKET="/nowhere")
    assert done.code == 0
