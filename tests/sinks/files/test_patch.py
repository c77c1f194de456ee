"""``patch`` on real files: values of another program's file, of every format, with the rules of a dotenv file."""

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.files.children import STRANGER, names, needs_root, stopped_at
from tests.sinks.leases import PLANTED, lease, sink
from tokend.values.errors import SinkError

TOKEN = "{{ access_token }}"
DOCKER = '{\n\t"auths": {\n\t\t"registry.example.com": {\n\t\t\t"auth": "b2xk"\n\t\t}\n\t},\n\t"credsStore": "pass"\n}'


def test_docker_s_config_gets_its_auth(tmp_path: Path) -> None:
    """User and token in Base64; the tabs, the order and the missing last line end stay."""
    path = tmp_path / "config.json"
    path.write_text(DOCKER)
    made = sink(
        "patch",
        path,
        format="json",
        set={"/auths/registry.example.com/auth": "{{ ('me:' ~ access_token) | b64 }}"},
    )
    assert made.write(lease())
    assert path.read_text() == DOCKER.replace("b2xk", base64.b64encode(f"me:{PLANTED}".encode()).decode())
    assert not made.write(lease())
    assert made.remove()
    assert json.loads(path.read_text()) == {"auths": {"registry.example.com": {}}, "credsStore": "pass"}
    assert not made.remove()


def test_a_new_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """0600, with the keys and nothing else; its directory is not made."""
    path = tmp_path / "c.yaml"
    made = sink("patch", path, format="yaml", set={"/a/b": TOKEN, "/a/c": "{{ expires_at_unix }}"}, numbers=["/a/c"])
    assert made.write(lease())
    assert path.read_text() == f'a:\n  b: "{PLANTED}"\n  c: 1772452800\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(SinkError, match="nowhere does not exist"):
        sink("patch", tmp_path / "nowhere" / "c.yaml", format="yaml", set={"/a": TOKEN}).write(lease())


def test_an_existing_file_keeps_mode_and_owner_and_a_link_stays(tmp_path: Path) -> None:
    """A kubeconfig is often a link; root's daemon edits the file of another user."""
    needs_root()
    (tmp_path / "real").write_text("users:\n- name: a\n  user: {}\n")
    (tmp_path / "real").chmod(0o640)
    os.chown(tmp_path / "real", STRANGER, STRANGER)
    (tmp_path / "config").symlink_to("real")
    assert sink("patch", tmp_path / "config", format="yaml", set={"/users/0/user/token": TOKEN}).write(lease())
    assert (tmp_path / "config").is_symlink()
    assert (tmp_path / "real").read_text() == f'users:\n- name: a\n  user: {{token: "{PLANTED}"}}\n'
    found = (tmp_path / "real").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o640, STRANGER, STRANGER)


def test_several_tokens_go_into_one_file(tmp_path: Path) -> None:
    """Once all of them are valid."""
    path = tmp_path / ".netrc"
    keys = {"/a.example/password": TOKEN, "/b.example/password": "{{ tokens.b.access_token }}"}
    made = sink("patch", path, format="netrc", set=keys, tokens=["b"])
    assert made.write_all(lease(), {"b": lease("planted-fake-other", name="b")})
    assert path.read_text() == f"machine a.example password {PLANTED}\nmachine b.example password planted-fake-other\n"


@pytest.mark.parametrize(
    ("form", "content", "told"),
    [
        ("json", '{"a": planted}', "line 1, column 7"),
        ("yaml", "a: 'planted\n", "line 2, column 1"),
        ("toml", "a = planted\n", "line 1, column 5"),
        ("ini", "[a]\n=planted\n", "line 2: this is no INI"),
        ("netrc", "planted\n", "line 1, column 1"),
        ("json", "\ufeff{}".encode("utf-16-le"), "it is UTF-16"),
        ("yaml", b"a: planted\xff\n", "line 1: this is not UTF-8"),
    ],
)
def test_a_file_that_does_not_parse_is_left_alone_and_the_place_is_named(
    tmp_path: Path, form: str, content: str | bytes, told: str
) -> None:
    """At a start, at each write and at a look; the file's words are nowhere."""
    path = tmp_path / "file"
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(raw)
    made = sink("patch", path, format=form, set={"/host/login": TOKEN})
    for call in (made.probe, lambda: made.write(lease()), made.remove, lambda: made.difference(lease(), {}, None)):
        with pytest.raises(SinkError) as refused:
            call()
        assert str(refused.value).startswith(f"{path}: ")
        assert told in str(refused.value)
        assert "planted" not in str(refused.value)
    assert path.read_bytes() == raw
    assert names(tmp_path) == {"file"}


def test_a_way_that_cannot_be_gone_is_reported_at_start(tmp_path: Path) -> None:
    """Not only when the first token comes."""
    path = tmp_path / "file"
    path.write_text('{"a": "x"}')
    with pytest.raises(SinkError, match="/a is a value without keys"):
        sink("patch", path, format="json", set={"/a/b": TOKEN}).probe()


def test_a_file_that_is_too_large_is_not_edited(tmp_path: Path) -> None:
    """More than 1 MiB."""
    path = tmp_path / "file"
    path.write_bytes(b" " * (1024 * 1024) + b"{}")
    made = sink("patch", path, format="json", set={"/a": TOKEN})
    for call in (made.probe, lambda: made.write(lease()), lambda: made.difference(lease(), {}, None)):
        with pytest.raises(SinkError, match="larger than 1048576 bytes: not edited"):
            call()


@pytest.mark.parametrize(
    ("form", "token", "told"),
    [
        ("netrc", "planted\nfake", "the value cannot be written as /host/login: it holds a control character"),
        ("ini", "planted\nfake", "the value cannot be written as /host/login: it holds a control character"),
        ("ini", "planted;fake", "which readers of ini files read differently"),
        ("json", "", "/host/login: the template yields nothing"),
    ],
)
def test_a_token_that_cannot_be_written_is_reported_without_itself(
    tmp_path: Path, form: str, token: str, told: str
) -> None:
    """The file is not made."""
    with pytest.raises(SinkError) as refused:
        sink("patch", tmp_path / "file", format=form, set={"/host/login": TOKEN}).write(lease(token))
    assert told in str(refused.value)
    assert "planted" not in str(refused.value)
    assert names(tmp_path) == set()


def test_a_template_s_fault_names_its_key(tmp_path: Path) -> None:
    """And the file."""
    made = sink("patch", tmp_path / "f", format="json", set={"/a": "{{ nothing }}"})
    with pytest.raises(SinkError, match="/f: /a: the template asks for 'nothing'"):
        made.write(lease())
    made = sink("patch", tmp_path / "f", format="json", set={"/a": "{{ expires_at_unix }}"}, numbers=["/a"])
    with pytest.raises(SinkError, match="/a: the template yields no number"):
        made.write(lease(life_seconds=None))


def test_an_edit_by_somebody_else_meanwhile_is_kept(tmp_path: Path) -> None:
    """The file is read, the new one written, theirs is seen before the rename: all over again, with both in the end."""
    path = tmp_path / "c.json"
    path.write_text('{"a": 1, "t": "old"}')
    setup = (
        "import pathlib\nfrom tests.sinks.leases import lease, sink\n"
        f"made = sink('patch', pathlib.Path({str(path)!r}), format='json', set={{'/t': {TOKEN!r}}})\n"
        "def publish():\n    made.write(lease())\n"
    )
    with stopped_at(setup, "fsync", tmp_path / "trace"):
        path.write_text('{"a": "theirs", "t": "old"}')
    assert path.read_text() == f'{{"a": "theirs", "t": "{PLANTED}"}}'
    assert names(tmp_path) == {"c.json", "trace"}


def test_another_program_s_own_writing_of_the_same_value_is_no_drift(tmp_path: Path) -> None:
    """It writes the whole file with other quotes and indentation: the value counts."""
    path = tmp_path / "hosts.yml"
    made = sink("patch", path, format="yaml", set={"/github.com/oauth_token": TOKEN})
    made.write(lease())
    path.write_text(f"github.com:\n        user: me\n        oauth_token: {PLANTED}\n")
    assert made.difference(lease(), {}, made.stamp()) is None
    assert not made.write(lease())
    path.write_text("github.com:\n    oauth_token: other\n")
    found = made.difference(lease(), {}, made.stamp())
    assert found is not None
    assert found.what == "it was overwritten"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"format": "xml", "set": {"/a": "x"}}, "format"),
        ({"format": "json", "set": {}}, "set"),
        ({"format": "json"}, "set"),
        ({"set": {"/a": "x"}}, "format"),
        ({"format": "json", "set": {"a": "x"}}, "a key is a JSON Pointer"),
        ({"format": "json", "set": {"/a/-": "x"}}, "items are not added"),
        ({"format": "json", "set": {"/a": "x", "/a/b": "y"}}, "/a/b lies within /a"),
        ({"format": "json", "set": {"/a": ""}}, "set"),
        ({"format": "ini", "set": {"/a/b/c": "x"}}, "a key of an ini file"),
        ({"format": "netrc", "set": {"/h": "x"}}, "a key of a netrc file"),
        ({"format": "ini", "set": {"/a": "1"}, "numbers": ["/a"]}, "ini has no numbers"),
        ({"format": "json", "set": {"/a": "1"}, "numbers": ["/b"]}, "each of numbers is a key of set"),
        ({"format": "json", "set": {f"/{number}": "x" for number in range(101)}}, "set"),
    ],
)
def test_wrong_keys_are_errors_of_the_configuration(tmp_path: Path, keys: dict[str, Any], told: str) -> None:
    """Before anything is written."""
    with pytest.raises(ValidationError) as refused:
        sink("patch", tmp_path / "file", **keys)
    assert told in str(refused.value)


def test_the_sink_shows_no_template(tmp_path: Path) -> None:
    """A template may hold a second secret."""
    assert "planted" not in repr(sink("patch", tmp_path / "f", format="json", set={"/a": "planted"}).model)


def test_sinks_of_one_format_share_a_file_by_their_keys(tmp_path: Path) -> None:
    """`config.cross_checks` compares what they say."""
    one = sink("patch", tmp_path / "f", format="json", set={"/a/b": "x"}).model
    other = sink("patch", tmp_path / "f", format="ini", set={"/a/b": "x"}).model
    assert one.exclusive_targets() == {f"{tmp_path}/f\0\0a\0b"}
    assert one.sharing != other.sharing


def test_a_secret_where_a_key_belongs_is_not_shown(tmp_path: Path) -> None:
    """Neither by the configuration nor by a write."""
    secret = "ghp_" + "0a1B2c3D4e" * 3
    with pytest.raises(ValidationError) as refused:
        sink("patch", tmp_path / "f", format="json", set={f"/{secret}": "x", f"/{secret}/b": "x"})
    assert secret not in str(refused.value)
    (tmp_path / "f").write_text("[]")
    with pytest.raises(SinkError, match="not shown") as failed:
        sink("patch", tmp_path / "f", format="json", set={f"/{secret}": "x"}).write(lease())
    assert secret not in str(failed.value)
