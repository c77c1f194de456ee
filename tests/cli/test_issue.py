"""`tokend issue` and `request-id`: on-demand tokens from parameters, and each wrong parameter by name."""

import json
import re
import subprocess
import sys

from tests.cli.running import CONFIG, Running, daemon, environment, lines, short_directory, tokend, write_config
from tests.sandbox.player import Player
from tokend.sandbox import Options, start

USER = ("clientId=CLIENT_001", "username=demo", "displayName=Demo User", "ipAddress=127.0.0.1")
ORDER = ("url=/pay", "currency=BTC", "amount=0.001", "orderId=12345")


def test_issue_prints_the_raw_token(running: Running) -> None:
    """One raw token and a newline; a new one each time."""
    first, second = (running.tokend("issue", "login-links", *USER) for _ in range(2))
    assert (first.code, first.err) == (0, "")
    assert re.fullmatch(r"[A-Za-z0-9_.-]+\n", first.out)
    assert first.out != second.out


def test_issue_in_json_is_the_whole_answer(running: Running) -> None:
    """`-o json`: the shape of `get`, with what else the upstream gave under "extra"."""
    answer = json.loads(running.tokend("issue", "login-links", *USER, "-o", "json").out)
    assert (answer["version"], answer["name"], answer["generation"]) == (1, "login-links", None)
    assert answer["extra"]["loginLink"].endswith(answer["access_token"])
    assert answer["extra"]["user"]["username"] == "demo"


def test_issue_can_print_the_headers(running: Running) -> None:
    """`-o header`: a line per header of this one token."""
    done = running.tokend("issue", "wallet", *ORDER, "-o", "header")
    names = [line.partition(": ")[0] for line in lines(done.out)]
    assert names == ["Authorization", "x-auth-key", "Content-Type"]


def test_issue_can_print_what_curl_and_shells_read(running: Running) -> None:
    """`-o curl`: the headers of this one request, never in argv; `-o env` and `-o shell`: NAME_TOKEN."""
    done = running.tokend("issue", "wallet", *ORDER, "-o", "curl")
    assert [re.sub(r"eyJ[\w.-]+", "JWT", line) for line in lines(done.out)] == [
        'header = "Authorization: Bearer JWT"',
        'header = "x-auth-key: sandbox-wallet-key"',
        'header = "Content-Type: application/json"',
    ]
    assert re.fullmatch(r"WALLET_TOKEN=eyJ[\w.-]+\n", running.tokend("issue", "wallet", *ORDER, "-o", "env").out)
    shell = running.tokend("issue", "login-links", *USER, "-o", "shell").out
    assert re.fullmatch(r"export LOGIN_LINKS_TOKEN='\w+'\n", shell)


def test_a_token_that_no_header_carries_has_no_lines_for_curl(running: Running) -> None:
    """A login token is used by its link: nothing on stdout, and the forms that there are."""
    for output in ("header", "curl"):
        done = running.tokend("issue", "login-links", *USER, "-o", output)
        assert (done.code, done.out) == (1, "")
        assert "use -o raw, json, env or shell" in done.err


def test_a_life_can_be_asked_for(running: Running) -> None:
    """`expiration=1m`; beyond the configured one it is refused by name."""
    answer = json.loads(running.tokend("issue", "login-links", *USER, "expiration=1m", "-o", "json").out)
    assert answer["extra"]["expiresIn"] == 60
    done = running.tokend("issue", "login-links", *USER, "expiration=3m")
    assert done.code == 2
    assert "expiration: is at most 2m (expiration_max of the provider)" in done.err


def test_each_wrong_parameter_is_named(running: Running) -> None:
    """Missing and unknown parameters: exit code 2, a line for each, nothing on stdout."""
    done = running.tokend("issue", "login-links", "clientId=C", "ipAddress=1", "colour=red")
    assert (done.code, done.out) == (2, "")
    fields = [line.split(":")[1].strip() for line in lines(done.err)[1:]]
    assert sorted(fields) == ["colour", "displayName", "username"]


def test_only_some_of_the_signed_fields_is_wrong(running: Running) -> None:
    """The wallet signs all of its fields or none: which ones are missing is said."""
    done = running.tokend("issue", "wallet", "url=/pay", "currency=BTC")
    assert done.code == 2
    assert [line.split(":")[1].strip() for line in lines(done.err)[1:]] == ["amount", "orderId"]


def test_a_value_may_hold_an_equals_sign_and_be_empty(running: Running) -> None:
    """Only the first = separates."""
    assert running.tokend("issue", "wallet", "url=/pay?a=b", "currency=", "amount=", "orderId=").code == 0


def test_what_is_no_parameter_is_not_repeated(running: Running) -> None:
    """An argument without = may be a secret: exit code 2, and it appears nowhere."""
    done = running.tokend("issue", "wallet", "hunter2")
    assert (done.code, done.out) == (2, "")
    assert "KEY=VALUE" in done.err
    assert "hunter2" not in done.err


def test_a_parameter_given_twice_is_wrong(running: Running) -> None:
    """Which of the two was meant, nobody knows."""
    done = running.tokend("issue", "wallet", "url=/a", "url=/b")
    assert done.code == 2
    assert "parameter url is given twice" in done.err


def test_a_held_token_is_not_issued_but_got(running: Running) -> None:
    """`issue` of a held token: exit code 2, and the command that does it."""
    done = running.tokend("issue", "tt", "a=b")
    assert (done.code, done.out) == (2, "")
    assert "use `tokend get tt`" in done.err


def test_issuing_an_unknown_token_is_5(running: Running) -> None:
    """Whatever its name is made of."""
    for name in ("nosuch", "a b", "../wallet"):
        assert running.tokend("issue", name, "a=b").code == 5


def test_the_vendors_own_words_reach_the_caller_and_admins_and_never_the_log() -> None:
    """On demand and held: each failure says what the vendor said."""
    with (
        short_directory() as directory,
        start(Options(xerve_status=500, tt_status="Fail")) as sandbox,
        daemon(write_config(directory, CONFIG, url=sandbox.url)) as own,
    ):
        done = own.tokend("issue", "login-links", *USER)
        assert done.code == 7
        words = "the upstream said: Failed to generate auth token: Database connection failed"
        assert words in done.err
        assert words in own.tokend("status", "login-links").out
        own.becomes("tt", "rejected")
        assert "the upstream said: Invalid application key or secret" in own.tokend("status", "tt").out
        log = (directory / "tokend.log").read_text()
        assert "token.issue_failed" in log
        for words in ("the upstream said", "Database connection failed", "Invalid application key"):
            assert words not in log


SLOW = """
[daemon]
socket = "tokend.sock"
state_directory = "state"

[providers.login-links]
kind = "auth-token"
base_url = "{url}"
client_secret = {{ file = "secrets/xerve" }}
issue_rate = 0.2
issue_burst = 1
"""


def test_a_wait_covers_the_start_of_the_daemon_and_the_limits_and_ends_with_124() -> None:
    """`--wait`: nothing is sent twice; without a daemon, under a limit and behind a slow upstream."""
    with short_directory() as directory, start(Options(latency=3)) as sandbox:
        config = write_config(directory, SLOW, url=sandbox.url)
        where = {"TOKEND_SOCKET": str(directory / "tokend.sock")}
        done = tokend("issue", "login-links", *USER, "--wait", "500ms", **where)
        assert (done.code, done.out) == (124, "")
        waiting = subprocess.Popen(
            [sys.executable, "-m", "tokend", "issue", "login-links", *USER, "--wait", "50s"],
            env=environment(**where), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        with daemon(config) as own:
            first, _ = waiting.communicate(timeout=60)
            assert (waiting.returncode, len(first)) == (0, 65)
            assert own.tokend("issue", "login-links", *USER, "--wait", "50s").code == 0
            done = own.tokend("issue", "login-links", *USER, "--wait", "2s")
            assert (done.code, done.out) == (124, "")
            assert "no token after 2 s: " in done.err
            assert own.tokend("issue", "login-links", *USER, "--wait", "soon").code == 2
            assert Player(sandbox).control("requests?vendor=xerve").json["counts"]["xerve"] <= 3
