"""The programs that `get -o` and the helpers are made for read them, and send the token that they were given."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from tests.behaviour.readers.programs import (
    ROOT,
    basic,
    certified,
    needs,
    needs_npm_package,
    needs_package,
    run,
    upstream,
)
from tests.cli.running import PATIENCE_SECONDS, Running, environment
from tests.client.fake_daemon import answering, http


def test_curl_sends_what_k_is_given(running: Running) -> None:
    """`tokend get NAME -o curl | curl -K - URL`: every header of the token, none of it in argv."""
    needs("curl")
    lease = running.client.get("tt")
    with upstream() as server:
        run("curl", "-sSf", "-K", "-", server.url, given=running.tokend("get", "tt", "-o", "curl").out)
    assert server.authorizations == [lease.headers["Authorization"]]


def test_curl_logs_in_with_the_netrc_line(running: Running, tmp_path: Path) -> None:
    """`-o netrc`: login and token as Basic, for that machine."""
    needs("curl")
    file = tmp_path / "netrc"
    file.write_text(running.tokend("get", "partner", "-o", "netrc", "--host", "me@127.0.0.1").out)
    with upstream() as server:
        run("curl", "-sSf", "--netrc-file", str(file), server.url)
    assert server.authorizations == [basic("me", running.client.get("partner").access_token)]


def test_git_clones_with_the_token(running: Running, tmp_path: Path) -> None:
    """A real request of git: challenged, it asks the helper, and sends what that says."""
    needs("git")
    with upstream() as server:
        helper = f"!{sys.executable} -m tokend credential git --for {server.url}=partner"
        done = subprocess.run(
            ["git", "-c", "credential.helper=", "-c", f"credential.helper={helper}", "ls-remote", f"{server.url}/a"],
            capture_output=True, text=True, timeout=PATIENCE_SECONDS, cwd=tmp_path,
            env=environment(
                TOKEND_SOCKET=str(running.socket), PYTHONPATH=str(ROOT), HOME=str(tmp_path), GIT_CONFIG_NOSYSTEM="1",
                GIT_TERMINAL_PROMPT="0", no_proxy="*",
            ),
        )  # fmt: skip
    assert basic("x-access-token", running.client.get("partner").access_token) in server.authorizations, done.stderr


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_kubectl_takes_the_exec_credential(running: Running, tmp_path: Path, version: str) -> None:
    """An exec plugin of a kubeconfig, in either version: the token arrives as a bearer token."""
    needs("kubectl", packaged=False)  # Debian 12 has one of 2021, which does not know v1
    tls = certified(tmp_path / "ca.pem")
    with upstream(tls=tls) as server:  # to a server without TLS kubectl sends no token
        cluster = {"server": f"https://127.0.0.1:{server.port}", "certificate-authority": str(tmp_path / "ca.pem")}
        plugin = {
            "apiVersion": f"client.authentication.k8s.io/{version}", "interactiveMode": "Never",
            "command": sys.executable, "args": ["-m", "tokend", "get", "partner", "-o", "k8s"],
            "env": [{"name": "TOKEND_SOCKET", "value": str(running.socket)}],
        }  # fmt: skip
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": cluster}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {"exec": plugin}}],
        }  # fmt: skip
        (tmp_path / "config").write_text(json.dumps(config))
        run("kubectl", "--kubeconfig", str(tmp_path / "config"), "get", "--raw", "/x", HOME=str(tmp_path))
    assert set(server.authorizations) == {"Bearer " + running.client.get("partner").access_token}


def test_docker_asks_its_helper(running: Running, tmp_path: Path) -> None:
    """The docker command line finds docker-credential-tokend in its PATH and logs in to the registry with the token."""
    needs("docker", packaged=False)  # Debian 12 has the command line only with a whole daemon
    script = tmp_path / "docker-credential-tokend"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nfrom tokend.cli import commands\nsys.exit(commands.docker_credential())\n"
    )
    script.chmod(0o755)
    with upstream(tls=certified(tmp_path / "ca.pem")) as server:
        place = f"127.0.0.1:{server.port}"
        (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {place: "tokend"}}))
        done = subprocess.run(
            ["docker", "--config", str(tmp_path), "manifest", "inspect", "--insecure", f"{place}/a:b"],
            capture_output=True, timeout=PATIENCE_SECONDS, check=False, env=environment(
                TOKEND_SOCKET=str(running.socket), TOKEND_HOSTS=f"robot@{place}=partner", PYTHONPATH=str(ROOT),
                PATH=f"{tmp_path}:/usr/local/bin:/usr/bin:/bin", no_proxy="*",
            ),
        )  # fmt: skip
    assert basic("robot", running.client.get("partner").access_token) in server.authorizations, done


def test_dotenv_libraries_read_the_file_of_a_running_daemon(running: Running) -> None:
    """python-dotenv, and its elder brother of npm, on the `.env` that a sink keeps."""
    file = str(running.directory / "bot.env")
    value = running.client.get("topstepx").access_token
    assert dotenv_values(file) == {"JWT_TOKEN": value}
    needs_npm_package("dotenv")
    program = "require('dotenv').config({ path: process.argv[1], quiet: true }); console.log(process.env.JWT_TOKEN)"
    assert run("node", "-e", program, file) == f"{value}\n"


def test_botocore_takes_the_credential_process(tmp_path: Path) -> None:
    """A profile with `credential_process = tokend get NAME -o aws`: keys, session token and a time to ask again."""
    needs_package("botocore")
    keys = {"AccessKeyId": "AKIAFAKE", "SecretAccessKey": "fake-secret", "SessionToken": "fake-session"}
    answer = {"name": "aws", "access_token": json.dumps(keys), "expires_at_unix": 4102444800, "headers": {}}
    program = (
        "import botocore.session, json\n"
        "found = botocore.session.Session(profile='tokend').get_credentials()\n"
        "print(json.dumps([found.method, found.access_key, found.secret_key, found.token, found._expiry_time.year]))\n"
    )
    with answering(http(json.dumps(answer).encode())) as fake:
        (tmp_path / "config").write_text(
            f"[profile tokend]\ncredential_process = {sys.executable} -m tokend get aws -o aws --socket {fake.path}\n"
        )
        out = run(
            sys.executable, "-W", "ignore", "-c", program, AWS_CONFIG_FILE=str(tmp_path / "config"), HOME=str(tmp_path)
        )
    assert json.loads(out) == ["custom-process", *keys.values(), 2100]


def test_google_auth_takes_the_executables_response(running: Running, tmp_path: Path) -> None:
    """`external_account` with an executable: our JWT is what is exchanged for Google's token."""
    needs_package("google", "google.auth", "requests")
    exchanged = {
        "access_token": "fake", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer", "expires_in": 3600,
    }  # fmt: skip
    program = (
        "import sys\nfrom google.auth import pluggable\nfrom google.auth.transport.requests import Request\n"
        "found = pluggable.Credentials.from_file(sys.argv[1], scopes=['x'])\nfound.refresh(Request())\n"
        "print(found.token)\n"
    )
    with upstream(json.dumps(exchanged).encode()) as server:
        command = f"{sys.executable} -m tokend get partner -o gcp --socket {running.socket}"
        account = {
            "type": "external_account", "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/a/providers/b",
            "token_url": f"{server.url}/v1/token", "credential_source": {"executable": {"command": command}},
        }  # fmt: skip
        (tmp_path / "account.json").write_text(json.dumps(account))
        out = run(
            sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "account.json"),
            GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES="1", HOME=str(tmp_path),
        )  # fmt: skip
    assert out == "fake\n"
    assert running.client.get("partner").access_token.encode() in server.bodies[0]
