"""Kubeconfigs: what is taken from them, and what is refused with advice."""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sinks.stores.kube.kubeconfigs import written
from tokend.sinks.stores.kube.kubeconfig import read_kubeconfig
from tokend.values.secret import Secret


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_a_token_and_the_server(tmp_path: Path) -> None:
    """Of the current context, with its namespace; the token is in no repr."""
    found = read_kubeconfig(written(tmp_path / "config", cluster={"proxy-url": "http://proxy.example:3128"}))
    assert (found.server, found.namespace) == ("https://cluster.example:6443", "team")
    assert (found.proxy, found.token, found.token_file) == (
        "http://proxy.example:3128",
        Secret("planted-fake-token"),
        None,
    )
    assert "planted" not in repr(found)
    assert "proxy" not in repr(found)


def test_certificates_stand_in_it_or_beside_it(tmp_path: Path) -> None:
    """Data counts before a file; a relative path begins at the kubeconfig; the files are watched."""
    (tmp_path / "ca.pem").write_bytes(b"fake authority")
    (tmp_path / "key.pem").write_bytes(b"fake key")
    path = written(
        tmp_path / "config", cluster={"certificate-authority": "ca.pem"},
        user={"client-certificate-data": encoded(b"fake certificate"), "client-key": str(tmp_path / "key.pem")},
    )  # fmt: skip
    pem = read_kubeconfig(path).pem
    assert pem.authorities == b"fake authority"
    assert pem.certificate == b"fake certificate\nfake key"
    assert pem.files == (tmp_path / "ca.pem", tmp_path / "key.pem")
    assert read_kubeconfig(path, without_user=True).pem.certificate is None


def test_a_token_file_counts_before_a_token(tmp_path: Path) -> None:
    """As in kubectl; it is read at each use."""
    found = read_kubeconfig(written(tmp_path / "config", user={"token": "planted-fake", "tokenFile": "token"}))
    assert (found.token, found.token_file) == (None, tmp_path / "token")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"user": {"exec": {"command": "aws"}}}, r"has exec, which tokend does not run: give auth.*command"),
        ({"user": {"auth-provider": {"name": "gcp"}}}, "auth-provider"),
        ({"user": {"username": "me", "password": "planted-fake"}}, "password, which API servers no longer take"),
        ({"cluster": {"insecure-skip-tls-verify": True}}, "name the authority"),
        ({"cluster": {"tls-server-name": "x"}}, "tls-server-name"),
        ({"cluster": {"server": ""}}, "no server"),
        ({"cluster": {"certificate-authority-data": "?"}}, "no Base64"),
        ({"cluster": {"certificate-authority": "missing.pem"}}, "No such file"),
        ({"user": {"token": 5}}, "its token is no text"),
        ({"current-context": ""}, "it has no current-context: set context"),
        ({"current-context": "other"}, "no cluster of that name"),
        ({"users": []}, "no user of that name"),
        ({"contexts": {}}, "no context of that name"),
        ({"clusters": [5, {"name": "c"}]}, "no cluster of that name"),
    ],
)
def test_what_cannot_be_used_is_refused_with_advice(tmp_path: Path, parts: dict[str, Any], said: str) -> None:
    """The file and the key are named; nothing else of it is quoted."""
    with pytest.raises(ValueError, match=said) as refused:
        read_kubeconfig(written(tmp_path / "config", **parts))
    assert str(refused.value).startswith(f"file {tmp_path}")
    assert "planted" not in str(refused.value)


def test_a_user_that_is_not_needed_is_not_looked_at(tmp_path: Path) -> None:
    """With `auth` beside it, an exec plugin does no harm."""
    path = written(tmp_path / "config", user={"exec": {"command": "aws"}})
    assert read_kubeconfig(path, without_user=True).server == "https://cluster.example:6443"


@pytest.mark.parametrize("content", [b"[]", b"5", b'"x"'])
def test_what_is_no_kubeconfig_is_refused(tmp_path: Path, content: bytes) -> None:
    """A list, a number or a text."""
    (tmp_path / "config").write_bytes(content)
    (tmp_path / "config").chmod(0o600)
    with pytest.raises(ValueError, match="it holds no kubeconfig"):
        read_kubeconfig(tmp_path / "config")


def test_a_file_that_others_may_write_is_not_read(tmp_path: Path) -> None:
    """Its server would get the tokens."""
    path = written(tmp_path / "config")
    path.chmod(0o666)
    with pytest.raises(ValueError, match="unsafe path"):
        read_kubeconfig(path)
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_kubeconfig(tmp_path / "missing")


def test_yaml_needs_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With it the same is read; without it the message names it, and the way to JSON."""
    document = json.loads(written(tmp_path / "config").read_text())
    lines = [
        "current-context: one", "contexts:", "- name: one", "  context: {cluster: c, user: u, namespace: team}",
        "clusters:", "- name: c", f"  cluster: {{server: {document['clusters'][0]['cluster']['server']}}}", "users:",
        "- name: u", "  user: {token: planted-fake-token}",
    ]  # fmt: skip
    (tmp_path / "config").write_text("\n".join(lines) + "\n")
    assert read_kubeconfig(tmp_path / "config").token == Secret("planted-fake-token")
    (tmp_path / "config").write_text("a: [planted-fake\n")
    with pytest.raises(ValueError, match="neither JSON nor YAML") as refused:
        read_kubeconfig(tmp_path / "config")
    assert "planted" not in str(refused.value)
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)
    with pytest.raises(ValueError, match=r"tokend\[patch\].*-o json"):
        read_kubeconfig(tmp_path / "config")
