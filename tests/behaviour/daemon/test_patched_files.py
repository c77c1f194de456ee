"""Values in files of other programs, by a whole daemon: set, kept true, taken away, and nothing else touched."""

import json
import os

import pytest

from tests.daemon.harness import Daemon, Home, until
from tests.daemon.tables import PARTNER, PX

NOTICED_SECONDS = 15.0
TOKEN = "{{{{ access_token }}}}"
CONFIG = '{\n\t"auths": {\n\t\t"other.example": {\n\t\t\t"auth": "kept"\n\t\t}\n\t},\n\t"x": 1.50\n}'


def sink(provider: str, form: str, name: str, keys: str) -> str:
    return f"""
[[providers.{provider}.sinks]]
kind = "patch"
path = "out/{name}"
format = "{form}"
set = {{{{ {keys} }}}}
"""


def states(daemon: Daemon, name: str) -> list[str]:
    return [row["state"] for row in daemon.row(name)["sinks"]]


@pytest.mark.parametrize(
    ("form", "key", "before"),
    [
        ("json", "/a/t", '{"a": {"t": "old"}, "b": [1, 2.50]}'),
        ("yaml", "/a/t", "# mine\na:\n    t: old # theirs\nb: [1, 2.50]\n"),
        ("toml", "/a/t", '# mine\nb = [1, 2.50]\n[a]\nt = "old" # theirs\n'),
        ("ini", "/a/t", "; mine\r\n[a]\r\nt = old\r\nb=1\r\n"),
        ("netrc", "/a.example/password", "machine b login c password d\nmachine a.example login me password old\n"),
    ],
)
def test_a_value_is_set_and_set_again_and_everything_else_stays(home: Home, form: str, key: str, before: str) -> None:
    """Of every format; a change of the value by another program is undone, one of other values stays."""
    home.out("file").parent.mkdir(exist_ok=True)
    home.out("file").write_bytes(before.encode())
    daemon = home.start(PX, sink("px", form, "file", f'"{key}" = "{TOKEN}"')).settled()
    token = daemon.lease("px")["access_token"]
    after = home.out("file").read_bytes().decode()
    quotes = '"' if form in {"json", "toml", "yaml"} else ""
    assert after == before.replace('"old"', "old").replace("old", f"{quotes}{token}{quotes}")
    home.out("file").write_bytes(before.replace("b", "c").encode())
    until(lambda: token in home.out("file").read_text(), "the repair", seconds=NOTICED_SECONDS)
    assert home.out("file").read_bytes().decode() == after.replace("b", "c").replace(token.replace("b", "c"), token)
    assert home.requests("projectx") == 1


def test_a_file_that_does_not_parse_is_left_alone_until_it_does(home: Home) -> None:
    """Status names line and column, and quotes nothing; the daemon is not ready meanwhile."""
    home.out("c.toml").parent.mkdir(exist_ok=True)
    home.out("c.toml").write_text("a = 1\nb = planted-fake\n")
    daemon = home.start(PX, sink("px", "toml", "c.toml", f'"/t" = "{TOKEN}"')).quiet()
    row = until(lambda: (row := daemon.row("px")["sinks"][1])["error"] and row, "the error")
    assert row["error"].endswith("c.toml: line 2, column 5: this is no TOML")
    assert daemon.get("/readyz").status == 503
    assert home.out("c.toml").read_text() == "a = 1\nb = planted-fake\n"
    home.out("c.toml").write_text("a = 1\nb = 2\n")
    until(lambda: states(daemon, "px") == ["ok", "ok"], "the write", seconds=NOTICED_SECONDS)
    assert home.out("c.toml").read_text() == f'a = 1\nb = 2\nt = "{daemon.lease("px")["access_token"]}"\n'
    home.out("c.toml").write_text("planted-fake again\n")
    row = until(lambda: (row := daemon.row("px")["sinks"][1])["error"] and row, "the error", seconds=NOTICED_SECONDS)
    assert "line 1, column" in row["error"]
    assert home.out("c.toml").read_text() == "planted-fake again\n"
    assert "planted" not in home.log.read_text() + json.dumps(daemon.status())


def test_two_providers_share_a_file_and_one_is_forgotten(home: Home) -> None:
    """`tokend forget` takes exactly its keys."""
    home.out("c.json").parent.mkdir(exist_ok=True)
    home.out("c.json").write_text(CONFIG)
    tables = (
        PX + sink("px", "json", "c.json", f'"/auths/px.example/auth" = "{TOKEN}", "/px" = "{TOKEN}"'),
        PARTNER + sink("partner", "json", "c.json", f'"/auths/partner.example/auth" = "{TOKEN}"'),
    )
    daemon = home.start(*tables).settled()
    tokens = {name: daemon.lease(name)["access_token"] for name in ("px", "partner")}
    wanted = json.loads(CONFIG)
    wanted["auths"]["px.example"] = {"auth": tokens["px"]}
    wanted["auths"]["partner.example"] = {"auth": tokens["partner"]}
    assert json.loads(home.out("c.json").read_text()) == {**wanted, "px": tokens["px"]}
    home.secret("px-key", "a-wrong-fake-key")
    assert home.run("forget", "px").returncode == 0
    until(lambda: states(daemon, "px") == ["removed", "removed"], "the removal")
    wanted["auths"]["px.example"] = {}
    assert json.loads(home.out("c.json").read_text()) == wanted
    assert '"x": 1.50' in home.out("c.json").read_text()


def test_a_package_that_is_missing_is_an_error_of_the_configuration(home: Home) -> None:
    """`tokend check` names the command that installs it, and the line."""
    hidden = home.path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import sys\n"
        "class Nowhere:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('ruamel', 'tomlkit', 'configupdater'):\n"
        "            raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Nowhere())\n"
    )
    for form, package in (("yaml", "ruamel.yaml"), ("toml", "tomlkit"), ("ini", "configupdater")):
        home.write(PARTNER, sink("partner", form, "x", f'"/a" = "{TOKEN}"'))
        done = home.run("check", str(home.config), PYTHONPATH=f"{hidden}:{os.environ.get('PYTHONPATH', '')}")
        assert done.returncode != 0
        assert f'{form} needs the package {package}: pip install "tokend[patch]"' in done.stdout + done.stderr
