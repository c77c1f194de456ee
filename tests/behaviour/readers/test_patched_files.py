"""The programs of docs/patch-recipes.md read the files that its sinks have edited, and send the token that is in them.

The sinks are those of the page; only their hosts and paths are changed, to servers of the test and files that the
programs' own formats begin with.
"""

import json
import netrc
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.behaviour.readers.programs import ROOT, Upstream, basic, certified, needs, needs_package, run, upstream
from tests.docs.pages import blocks
from tests.sinks.leases import PLANTED, lease, sink

PAGE = ROOT / "docs" / "patch-recipes.md"
# A token that has to be quoted, escaped or encoded wherever that is possible at all.
AWKWARD = "planted-fake/+=:@%&~token"

NPMRC = "; mine\nregistry=https://registry.npmjs.org/\n//npm.example.com/:_authToken=old ; desk\n"
DOCKER = '{\n\t"auths": {\n\t\t"registry.example.com": {\n\t\t\t"auth": "b2xk"\n\t\t}\n\t},\n\t"psFormat": "x"\n}'
KUBE = """\
apiVersion: v1
kind: Config
clusters:
- name: desk
  cluster:
    server: https://127.0.0.1:1  # the test's
    certificate-authority: /nowhere
users:
- name: bot
  user: {}
contexts:
- {name: desk, context: {cluster: desk, user: bot}}
current-context: desk
"""
AWS = """\
[default]
aws_access_key_id = other

[desk]
aws_access_key_id = id # no comment
aws_secret_access_key = fake
aws_session_token=old
"""
NETRC = """\
machine other.example login me password kept
machine 127.0.0.1
  login nobody
  password old
default login x password y
"""
HOSTS = "github.example.com:\n    git_protocol: https\n    oauth_token: old # by gh\n"


def recipes() -> dict[str, dict[str, Any]]:
    """The sinks of the page by the names of their files."""
    text = "\n".join(block.text for block in blocks(PAGE, "toml"))
    return {Path(one["path"]).name: one for one in tomllib.loads(text)["providers"]["partner"]["sinks"]}


def written(path: Path, name: str, before: str | None, token: str, *, host: tuple[str, str] = ("", "")) -> Path:
    """Run the page's sink for a file, in ``path``, on this content. ``host``: a host of the page, and the test's."""
    keys = recipes()[name]
    if host[0]:
        keys = json.loads(json.dumps(keys).replace(*host))
    if before is not None:
        path.write_text(before.replace(*host) if host[0] else before)
    made = sink(keys.pop("kind"), path, **{key: value for key, value in keys.items() if key != "path"})
    made.probe()
    assert made.write(lease(token))
    assert not made.write(lease(token))
    return path


def local(server: Upstream) -> str:
    return f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("token", [PLANTED, AWKWARD])
def test_skopeo_logs_in_with_docker_s_config(tmp_path: Path, token: str) -> None:
    """Challenged by the registry, it sends user and token as Basic."""
    needs("skopeo")
    with upstream() as server:
        file = written(
            tmp_path / "config.json", "config.json", DOCKER, token, host=("registry.example.com", local(server))
        )
        image = f"docker://{local(server)}/desk/bot:1"
        subprocess.run(
            ["skopeo", "inspect", "--raw", "--tls-verify=false", "--authfile", str(file), image],
            capture_output=True,
            check=False,
            timeout=30,
        )
    assert basic("bot", token) in server.authorizations
    assert json.loads(file.read_text())["psFormat"] == "x"


@pytest.mark.parametrize("token", [PLANTED, AWKWARD])
def test_npm_sends_the_token_of_its_npmrc(tmp_path: Path, token: str) -> None:
    """`npm whoami` asks the registry with it."""
    needs("npm")
    with upstream(b'{"username": "bot"}') as server:
        file = written(tmp_path / ".npmrc", ".npmrc", NPMRC, token, host=("npm.example.com", local(server)))
        told = run(
            "npm", "whoami", "--registry", server.url, "--userconfig", str(file), "--no-update-notifier",
            HOME=str(tmp_path), npm_config_cache=str(tmp_path / "cache"), NO_UPDATE_NOTIFIER="1",
        )  # fmt: skip
    assert told.strip() == "bot"
    assert f"Bearer {token}" in server.authorizations


@pytest.mark.parametrize("token", [PLANTED, AWKWARD])
def test_botocore_reads_the_credentials(tmp_path: Path, token: str) -> None:
    """The profile's other keys are as they were."""
    needs_package("botocore")
    before = AWS
    file = written(tmp_path / "credentials", "credentials", before, token)
    code = (
        "from botocore.session import Session\n"
        "found = Session(profile='desk').get_credentials()\n"
        "print(found.access_key, found.secret_key, found.token)\n"
    )
    told = run(
        "python3", "-c", code, AWS_SHARED_CREDENTIALS_FILE=str(file), AWS_CONFIG_FILE="/dev/null", HOME=str(tmp_path)
    )
    assert told == f"id # no comment fake {token}\n"


@pytest.mark.parametrize("token", [PLANTED, AWKWARD])
def test_kubectl_sends_the_token_of_the_kubeconfig(tmp_path: Path, token: str) -> None:
    """Over TLS, as it sends no token otherwise."""
    needs("kubectl", packaged=False)  # as in test_command_line.py
    tls = certified(tmp_path / "ca.pem")
    with upstream(b'{"kind": "Status"}', tls=tls) as server:
        before = KUBE.replace("127.0.0.1:1 ", f"{local(server)} ").replace("/nowhere", str(tmp_path / "ca.pem"))
        file = written(tmp_path / "kubeconfig", "kubeconfig", before, token)
        run("kubectl", "--kubeconfig", str(file), "get", "--raw", "/version", HOME=str(tmp_path))
    assert f"Bearer {token}" in server.authorizations
    assert "  # the test's\n" in file.read_text()


@pytest.mark.parametrize("token", [PLANTED, AWKWARD, 'planted "fake" # token \\', "#planted-fake"])
def test_curl_and_python_log_in_with_the_netrc(tmp_path: Path, token: str) -> None:
    """Quoted where it has to be; the other machines are found as before."""
    needs("curl")
    before = NETRC
    file = written(tmp_path / ".netrc", ".netrc", before, token, host=("api.example.com", "127.0.0.1"))
    with upstream() as server:
        run("curl", "-sSf", "--netrc-file", str(file), server.url)
    assert server.authorizations[-1] == basic("bot", token)
    found = netrc.netrc(str(file))
    assert found.authenticators("127.0.0.1") == ("bot", "", token)
    assert found.authenticators("other.example") == ("me", "", "kept")
    assert found.authenticators("elsewhere.example") == ("x", "", "y")


def test_a_new_netrc_is_read_by_curl(tmp_path: Path) -> None:
    """The file that the sink makes."""
    needs("curl")
    file = written(tmp_path / ".netrc", ".netrc", None, PLANTED, host=("api.example.com", "127.0.0.1"))
    with upstream() as server:
        run("curl", "-sSf", "--netrc-file", str(file), server.url)
    assert server.authorizations[-1] == basic("bot", PLANTED)


@pytest.mark.parametrize("token", [PLANTED, AWKWARD])
def test_pip_reads_its_configuration(tmp_path: Path, token: str) -> None:
    """The URL is the one that it asks; a percent sign is no interpolation."""
    before = "[global]\ntimeout = 60\nindex-url = https://pypi.org/simple\n[install]\nno-binary = :none:\n"
    file = written(tmp_path / "pip.conf", "pip.conf", before, token)
    told = run(
        "python3",
        "-m",
        "pip",
        "config",
        "list",
        PIP_CONFIG_FILE=str(file),
        HOME=str(tmp_path),
        PIP_DISABLE_PIP_VERSION_CHECK="1",
    )
    url = f"https://bot:{quote(token, safe='')}@pypi.example.com/simple"
    assert f"global.index-url='{url}'" in told.splitlines()
    assert "global.timeout='60'" in told.splitlines()


@pytest.mark.parametrize("token", [PLANTED, AWKWARD])
@pytest.mark.parametrize("before", [HOSTS, None], ids=["edited", "new"])
def test_gh_reads_the_token_of_its_hosts(tmp_path: Path, token: str, before: str | None) -> None:
    """`gh auth token` prints it."""
    needs("gh")
    file = written(tmp_path / "hosts.yml", "hosts.yml", before, token)
    told = run(
        "gh", "auth", "token", "--hostname", "github.example.com", GH_CONFIG_DIR=str(tmp_path), HOME=str(tmp_path)
    )
    assert told == f"{token}\n"
    assert before is None or file.read_text().startswith(
        'github.example.com:\n    git_protocol: https\n    oauth_token: "'
    )


@pytest.mark.parametrize("token", [PLANTED, AWKWARD])
def test_git_finds_the_token_in_the_file_of_its_own(tmp_path: Path, token: str) -> None:
    """`git credential-store` reads a URL a line."""
    needs("git")
    file = written(tmp_path / "git-credentials", "git-credentials", None, token)
    asked = "protocol=https\nhost=git.example.com\n\n"
    told = run("git", "credential-store", "--file", str(file), "get", given=asked)
    assert told.splitlines() == ["username=bot", f"password={token}"]


def test_agents_find_their_keys_in_json(tmp_path: Path) -> None:
    """Their formats, as Python's reader finds them; these programs are not installed here."""
    before = '{\n  "OPENAI_API_KEY": null,\n  "last_refresh": "2026-01-01T00:00:00Z"\n}'
    file = written(tmp_path / "auth.json", "auth.json", before, AWKWARD)
    assert file.read_text() == before.replace("null", json.dumps(AWKWARD))
    settings = '{\n  "permissions": {\n    "allow": ["Bash(ls:*)"]\n  }\n}\n'
    file = written(tmp_path / "settings.json", "settings.json", settings, PLANTED)
    assert json.loads(file.read_text()) == {**json.loads(settings), "env": {"ANTHROPIC_AUTH_TOKEN": PLANTED}}
    stored = '{"claudeAiOauth":{"accessToken":"old","refreshToken":"kept","expiresAt":1,"scopes":["a"]}}'
    file = written(tmp_path / ".credentials.json", ".credentials.json", stored, PLANTED)
    assert file.read_text() == stored.replace('"old"', f'"{PLANTED}"').replace(":1,", ":1772452800000,")


def test_every_recipe_is_read_back() -> None:
    """A recipe that is added to the page gets a test here."""
    tested = {
        "config.json", ".npmrc", "credentials", "kubeconfig", ".netrc", "pip.conf", "hosts.yml", "git-credentials",
        "auth.json", "settings.json", ".credentials.json",
    }  # fmt: skip
    assert set(recipes()) == tested
