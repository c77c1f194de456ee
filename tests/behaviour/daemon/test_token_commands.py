"""Kind ``command`` in a daemon: what the program prints is published, and what its end means decides the next run."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.daemon.harness import Daemon, Home, until
from tests.daemon.tables import PARTNER

# It notes each run, and prints what the test has put there.
MINT = """#!/bin/sh
echo run >> "{home}/runs"
[ -e "{home}/script" ] && . "{home}/script"
cat "{home}/prints"
"""
MINTED = """
[providers.minted]
kind = "command"
command = ["./mint", "--for", "prod"]
lifetime = "1h"
"""
SINK = """
[[providers.minted.sinks]]
kind = "raw"
path = "out/minted"
"""


@pytest.fixture
def mint(home: Home) -> Home:
    """A home with the program."""
    program = home.path / "mint"
    program.write_text(MINT.format(home=home.path))
    program.chmod(0o755)
    home.save(home.path / "prints", "fake-token-0\n")
    return home


def runs(home: Home) -> int:
    try:
        return len((home.path / "runs").read_text().splitlines())
    except FileNotFoundError:
        return 0


def trouble(daemon: Daemon) -> dict[str, str]:
    """The last error; AssertionError if there is none."""
    error = daemon.row("minted")["last_error"]
    assert error is not None
    return dict(error)


def reloaded(daemon: Daemon, *tables: str) -> None:
    daemon.home.write(*tables)
    assert daemon.ask("POST", "/v1/reload").status == 200


def test_what_a_program_prints_is_published_and_outlives_the_daemon(mint: Home) -> None:
    """A restart runs nothing while the token is valid."""
    daemon = mint.start(MINTED + SINK).settled()
    lease = daemon.lease("minted")
    assert lease["access_token"] == mint.out("minted").read_text() == "fake-token-0"
    assert 3500 < lease["expires_at_unix"] - datetime.now(UTC).timestamp() <= 3600
    daemon.end()
    assert mint.start().settled().lease("minted") == lease
    assert runs(mint) == 1
    assert "fake-token" not in mint.log.read_text()


def test_a_failure_keeps_the_token_and_is_told_without_the_output(mint: Home) -> None:
    """Standard error is nobody's business either."""
    daemon = mint.start(MINTED + SINK).settled()
    mint.save(mint.path / "script", "echo planted-fake; echo planted-fake >&2; exit 3\n")
    assert daemon.ask("POST", "/v1/tokens/minted/refresh").status == 503
    assert trouble(daemon)["class"] == "transient"
    assert trouble(daemon)["detail"] == "command ./mint failed with exit status 3"
    assert daemon.row("minted")["state"] == "failing"
    assert daemon.lease("minted")["access_token"] == "fake-token-0"
    assert "planted-fake" not in mint.log.read_text()
    assert "planted-fake" not in json.dumps(daemon.status())


def test_a_status_that_the_operator_names_rejects_until_something_changes(mint: Home) -> None:
    """No timer runs the program again. A person, or another configuration, does."""
    mint.save(mint.path / "script", "exit 3\n")
    mint.secret("key", "fake-key")
    table = MINTED + 'rejected_exit = [3]\nenv = {{ KEY = {{ file = "s/key" }} }}\n'
    daemon = mint.start(table)
    until(lambda: daemon.row("minted")["state"] == "rejected", "the rejection")
    assert trouble(daemon)["detail"] == "command ./mint ended with exit status 3, which rejected_exit names"
    assert daemon.row("minted")["next_attempt_at"] is None
    assert runs(mint) == 1
    once = mint.run("run", "--once", "--config", str(mint.config), TOKEND_SOCKET=str(mint.path / "no"))
    assert once.returncode == 75  # the daemon has the state
    daemon.end()
    assert mint.run("run", "--once", "--config", str(mint.config)).returncode == 4
    assert runs(mint) == 1  # rejected credentials stay rejected
    daemon = mint.start()
    mint.secret("key", "fake-next-key")
    until(lambda: runs(mint) == 2, "another run")
    until(lambda: daemon.row("minted")["state"] == "rejected", "another rejection")
    (mint.path / "script").unlink()
    reloaded(daemon, table.replace("[3]", "[4]"))
    until(lambda: daemon.lease("minted"), "the token")


def test_other_words_are_another_account_and_other_secrets_are_not(mint: Home) -> None:
    """The token of another account is withdrawn at once. A new secret is used at the next refresh."""
    mint.secret("key", "fake-key")
    table = MINTED + 'env = {{ PROFILE = "one", KEY = {{ file = "s/key" }} }}\n' + SINK
    daemon = mint.start(table).settled()
    mint.secret("key", "fake-next-key")
    until(lambda: daemon.log("secret.changed"), "the secret")
    mint.secret("key2", "fake-key")
    mint.save(mint.path / "prints", "fake-token-1\n")
    reloaded(daemon, table.replace("s/key", "s/key2"))  # another place: asked again, and nothing withdrawn
    until(lambda: daemon.lease("minted")["access_token"] == "fake-token-1", "the next token")
    assert not daemon.log("token.withdrawn")
    mint.save(mint.path / "script", "exit 1\n")
    reloaded(daemon, table.replace("one", "two"))
    until(lambda: daemon.get("/v1/tokens/minted").status == 503, "the withdrawal")
    until(lambda: not mint.out("minted").exists(), "the removal")


def test_a_token_of_another_provider_is_a_variable(mint: Home) -> None:
    """The program waits for it, and gets it."""
    mint.save(mint.path / "script", 'printf %s "$UP"; exit 0\n')
    table = MINTED + 'env = {{ UP = {{ token = "partner" }} }}\n'
    daemon = mint.start(PARTNER, table).settled()
    assert daemon.lease("minted")["access_token"] == daemon.lease("partner")["access_token"]
    assert runs(mint) == 1


def test_the_end_of_the_daemon_ends_the_program(mint: Home) -> None:
    """With all that it started."""
    mint.save(mint.path / "script", f"sleep 600 & echo $! > {mint.path}/child; wait\n")
    daemon = mint.start(MINTED)
    child = until(lambda: (mint.path / "child").read_text().strip(), "the child")
    assert daemon.end() == 0
    until(lambda: is_gone(int(child)), "the end of the child")


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, also where nobody waits for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_program_that_hangs_delays_no_other_token_and_no_reader(mint: Home) -> None:
    """Twenty of them, more than there are threads for commands. A reload that removes them ends their programs."""
    mint.save(mint.path / "script", f"echo $$ >> {mint.path}/pids; exec sleep 600\n")
    hanging = "".join(
        MINTED.replace("providers.minted", f"providers.hangs-{number}") + 'required = false\ntimeout = "10m"\n'
        for number in range(20)
    )
    hook = PARTNER + 'on_change = ["touch", "out/hooked"]\n'
    daemon = mint.start(hanging, hook).settled()
    assert daemon.lease("partner")
    until(lambda: len((mint.path / "pids").read_text().split()) == 16, "the programs")
    mint.out("hooked").unlink(missing_ok=True)
    mint.secret("partner", "another-fake-secret-of-32-bytes-0123")
    before = daemon.lease("partner")["generation"]
    until(lambda: daemon.lease("partner")["generation"] > before, "the next")
    until(mint.out("hooked").exists, "the hook")
    reloaded(daemon, PARTNER)
    assert daemon.get("/v1/tokens/hangs-1").status == 404
    pids = (mint.path / "pids").read_text().split()
    assert len(pids) == 16
    until(lambda: all(is_gone(int(pid)) for pid in pids), "the end of the programs")


AWS = {"Version": 1, "AccessKeyId": "FAKE-ID", "SecretAccessKey": "fake/secret", "SessionToken": "fake-session"}


def test_the_keys_of_a_credential_process_come_out_as_aws_reads_them(mint: Home) -> None:
    """`get -o aws` for a profile, ``?format=aws`` for a container. Until then no kind held a key pair."""
    end = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    mint.save(mint.path / "prints", json.dumps({**AWS, "Expiration": end.isoformat()}))
    daemon = mint.start(MINTED + 'format = "aws"\n').settled()
    printed = mint.run("get", "minted", "-o", "aws")
    written = end.isoformat().replace("+00:00", "Z")
    assert json.loads(printed.stdout) == {**AWS, "Expiration": written}
    answer = daemon.get("/v1/tokens/minted?format=aws").json
    assert answer == {
        "AccessKeyId": "FAKE-ID", "SecretAccessKey": "fake/secret", "Token": "fake-session", "Expiration": written,
    }  # fmt: skip
    extra = {name: value for name, value in AWS.items() if name != "Version"}
    assert daemon.lease("minted")["extra"] == extra
    assert mint.run("header", "minted").stdout.strip() == ""
    assert "fake/secret" not in mint.log.read_text() + json.dumps(daemon.status())


def test_the_answer_of_a_plugin_of_kubernetes_comes_out_as_one(mint: Home) -> None:
    """`get -o k8s` prints what kubectl reads."""
    status = {"token": "fake-token", "clientKeyData": "planted-fake-key"}
    said = {"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential", "status": status}
    mint.save(mint.path / "prints", json.dumps(said))
    table = MINTED.replace('lifetime = "1h"\n', 'format = "exec-credential"\n') + SINK.replace('"raw"', '"json"')
    daemon = mint.start(table).settled()
    assert json.loads(mint.run("get", "minted", "-o", "k8s").stdout)["status"]["token"] == "fake-token"
    lease = daemon.lease("minted")
    assert (lease["access_token"], lease["extra"]) == ("fake-token", {"clientKeyData": "planted-fake-key"})
    assert json.loads(mint.out("minted").read_text())["access_token"] == "fake-token"
    shown = mint.out("minted").read_text() + mint.log.read_text() + json.dumps(daemon.status())
    assert "planted-fake-key" not in shown
    assert daemon.row("minted")["note"] == "command ./mint names no end; set lifetime"


def test_a_trial_runs_the_program_once_and_a_check_does_not(mint: Home) -> None:
    """`check` is safe on any machine."""
    mint.write(MINTED)
    assert mint.run("check", str(mint.config)).returncode == 0
    assert runs(mint) == 0
    tried = mint.run("check", str(mint.config), "--try", "minted")
    assert tried.returncode == 0, tried.stderr
    assert runs(mint) == 1
