"""`tokend credential git|docker|bazel`: each protocol, and that a token goes to its own host and no other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import PATIENCE_SECONDS, Ended, Running, environment, tokend
from tests.client.fake_daemon import answering, http, problem

ANSWER = {
    "name": "tt", "access_token": "abc", "generation": 17, "expires_at_unix": 1700000000,
    "issued_at": "2023-11-14T21:13:20Z", "headers": {"Authorization": "Bearer abc", "x-api-key": "k"},
}  # fmt: skip
TOKEN = http(json.dumps(ANSWER).encode())


def helper(*arguments: str, given: str, **environ: str) -> Ended:
    """Run a helper as its program does: the question on standard input."""
    argv = [sys.executable, "-m", "tokend", "credential", *arguments]
    done = subprocess.run(
        argv, env=environment(**environ), input=given.encode(), capture_output=True, timeout=PATIENCE_SECONDS
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def git(action: str, given: str, fake: str, hosts: str = "git.example.com=tt") -> Ended:
    return helper("git", "--for", hosts, action, given=given, TOKEND_SOCKET=fake)


def test_git_gets_user_token_and_expiry() -> None:
    """The answer to `get`; capabilities and headers of newer gits are not minded."""
    asked = "capability[]=authtype\nprotocol=https\nhost=git.example.com\npath=a/b.git\nwwwauth[]=Basic\n\n"
    with answering(TOKEN) as fake:
        done = git("get", asked, fake.path)
        assert (done.code, done.err) == (0, "")
        assert done.out == "username=x-access-token\npassword=abc\npassword_expiry_utc=1700000000\n"
        assert "username=me\n" in git("get", "username=me\n" + asked, fake.path).out
        assert "username=bot\n" in git("get", asked, fake.path, "bot@git.example.com=tt").out


@pytest.mark.parametrize(
    "asked",
    [
        "protocol=https\nhost=other.example.com\n", "protocol=http\nhost=git.example.com\n", "protocol=https\n", "",
        "protocol=https\nhost=git.example.com:8443\n", "protocol=ssh\nhost=git.example.com\n",
        "protocol=https\nhost=evil.example?@git.example.com\n", "protocol=https\nhost=git.example.com#.evil.example\n",
        "protocol=https\nhost=git.example.com\\.evil.example\n", "protocol=https\nhost=git.example.com:x\n",
        "protocol=https\nhost=git.example.com.evil.example\n", "\x00\xff",
    ],
)  # fmt: skip
def test_git_gets_nothing_for_other_hosts(asked: str) -> None:
    """Silence and exit code 0: git asks its next helper. The daemon is not even asked."""
    with answering(TOKEN) as fake:
        for action in ("get", "erase", "store"):
            assert git(action, asked, fake.path) == Ended(0, "", "")
        assert fake.requests == []


@pytest.mark.parametrize("action", ["store", "capability", "something-new"])
def test_git_may_ask_for_what_we_do_not_do(action: str) -> None:
    """Operations that a helper does not know are passed over in silence (gitcredentials(7))."""
    assert git(action, "protocol=https\nhost=git.example.com\npassword=abc\n", "/nowhere") == Ended(0, "", "")


def test_a_user_of_another_name_is_not_ours() -> None:
    """git asks for bob's password: the one of alice is no answer."""
    asked = "protocol=https\nhost=git.example.com\nusername=bob\n"
    assert git("get", asked, "/nowhere", "alice@git.example.com=tt") == Ended(0, "", "")


def test_a_token_that_git_saw_refused_is_refreshed_once() -> None:
    """`erase` of the current token: refreshed, if that generation is still the newest. Of an older one: nothing."""
    asked = "protocol=https\nhost=git.example.com\nusername=x-access-token\npassword="
    refreshed = http(json.dumps({**ANSWER, "token_type": "Bearer", "access_token": "new"}).encode())
    with answering(TOKEN, refreshed) as fake:
        assert git("erase", asked + "abc\n", fake.path) == Ended(0, "", "")
        assert fake.heads() == ["GET /v1/tokens/tt HTTP/1.1", "POST /v1/tokens/tt/refresh HTTP/1.1"]
        assert json.loads(fake.requests[1].partition(b"\r\n\r\n")[2]) == {"if_generation": 17, "reason": "unauthorized"}
    with answering(TOKEN) as fake:
        assert git("erase", asked + "older\n", fake.path) == Ended(0, "", "")
        assert git("erase", "protocol=https\nhost=git.example.com\n", fake.path) == Ended(0, "", "")
        assert fake.heads() == ["GET /v1/tokens/tt HTTP/1.1"] * 2


def test_git_itself_asks_the_helper(running: Running, tmp_path: Path) -> None:
    """`git credential fill` with the helper configured as the help says: the token of the daemon."""
    command = f"!{sys.executable} -m tokend credential git --for git.example.com=partner"
    done = subprocess.run(
        ["git", "-c", "credential.helper=", "-c", f"credential.helper={command}", "credential", "fill"],
        input="url=https://git.example.com/a/b.git\n\n", capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        cwd=tmp_path, env=environment(
            TOKEND_SOCKET=str(running.socket), GIT_TERMINAL_PROMPT="0", PYTHONPATH=os.getcwd(),  # noqa: PTH109
            GIT_CONFIG_NOSYSTEM="1", HOME=str(tmp_path), GIT_ASKPASS="true",
        ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert answer["username"] == "x-access-token"
    assert answer["password"] == running.client.get("partner").access_token


@pytest.mark.parametrize(
    "server", ["https://registry.example.com/v1/", "registry.example.com", "registry.example.com:443"]
)
def test_docker_gets_an_object(server: str) -> None:
    """The server as it was asked for, user and secret; with and without a scheme."""
    with answering(TOKEN) as fake:
        done = helper(
            "docker",
            "get",
            given=server + "\n",
            TOKEND_SOCKET=fake.path,
            TOKEND_HOSTS="a.b=c u@registry.example.com=tt",
        )
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == {"ServerURL": server, "Username": "u", "Secret": "abc"}


def test_docker_reads_refusals_from_stdout() -> None:
    """An unknown server in docker's own words, so that it goes on without; everything else in ours; exit code 1."""
    docker = ("docker", "--for", "registry.example.com=tt")
    done = helper(*docker, "get", given="https://index.docker.io/v1/")
    assert done == Ended(1, "credentials not found in native keychain\n", "")
    with answering(problem(503, "token_unavailable", "no valid token")) as fake:
        done = helper(*docker, "get", given="registry.example.com", TOKEND_SOCKET=fake.path)
    assert done == Ended(1, "tokend: no valid token\n", "")
    for action in ("store", "erase"):
        done = helper(*docker, action, given='{"ServerURL":"registry.example.com"}')
        assert (done.code, done.err) == (1, "")
        assert "tokend keeps this registry's token itself" in done.out


def test_docker_lists_hosts_and_users() -> None:
    """`list`: no daemon is needed for that."""
    hosts = "registry.example.com=a AWS@other.example.com:5000=b http://127.0.0.1:5000=c"
    done = helper("docker", "list", given="", TOKEND_HOSTS=hosts)
    assert json.loads(done.out) == {
        "https://registry.example.com": "x-access-token", "https://other.example.com:5000": "AWS",
        "http://127.0.0.1:5000": "x-access-token",
    }  # fmt: skip


def test_docker_finds_the_helper_by_its_name(running: Running) -> None:
    """`docker-credential-tokend`, as pip installs it."""
    script = Path(sys.executable).with_name("docker-credential-tokend")
    if not script.exists():
        pytest.skip("tokend was not installed anew beside this interpreter")
    done = subprocess.run(
        [script, "get"], input="registry.example.com", capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        env=environment(TOKEND_SOCKET=str(running.socket), TOKEND_HOSTS="registry.example.com=partner"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["Secret"] == running.client.get("partner").access_token


@pytest.mark.parametrize("uri", ["https://cache.example.com/ac/1", "grpcs://cache.example.com"])
def test_bazel_gets_headers_and_when_to_ask_again(uri: str) -> None:
    """All headers, each with a list of values; the expiry half a minute early."""
    with answering(TOKEN) as fake:
        done = helper(
            "bazel", "--for", "*.example.com=tt", "get", given=json.dumps({"uri": uri}), TOKEND_SOCKET=fake.path
        )
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == {
        "headers": {"Authorization": ["Bearer abc"], "x-api-key": ["k"]}, "expires": "2023-11-14T22:12:50Z",
    }  # fmt: skip


def test_bazel_gets_no_headers_for_other_hosts_and_a_sentence_for_nonsense() -> None:
    """Unknown hosts are fetched without credentials; what is no question is exit code 2."""
    bazel = ("bazel", "--for", "*.example.com=tt")
    assert json.loads(helper(*bazel, "get", given='{"uri": "https://example.com/"}').out) == {"headers": {}}
    for given in ("", "{}", "[]", "x"):
        done = helper(*bazel, "get", given=given)
        assert (done.code, done.out) == (2, "")
        assert '{"uri": "https://…"}' in done.err
    assert helper(*bazel, "put", given="").code == 2


@pytest.mark.parametrize("name", ["git", "docker", "bazel"])
def test_each_helper_explains_itself(name: str) -> None:
    """`tokend credential NAME --help`: the help says how to configure the program."""
    done = tokend("credential", name, "--help")
    assert (done.code, done.err) == (0, "")
    assert "[USER@]HOST[:PORT]=NAME" in done.out
    assert tokend("credential", name, "get").code == 2
