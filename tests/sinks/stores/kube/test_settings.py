"""Settings of the kind ``kubernetes``: names, keys, and the three ways to a cluster."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from tests.fakes import literal
from tests.sinks.played_store import runtime_of
from tests.sinks.stores.kube.kubeconfigs import written
from tests.sinks.stores.played_kubernetes import PlayedKubernetes
from tokend.plugin.secret_source import SecretSource
from tokend.sinks.stores.kubernetes import KubernetesSink
from tokend.values.errors import SinkError

KEYS: dict[str, Any] = {"server": "https://cluster.example:6443", "auth": literal("planted-fake"), "secret_name": "app"}


def made(
    model: type[KubernetesSink] = KubernetesSink, directory: Path = Path("/nowhere"), **keys: Any
) -> KubernetesSink:
    return model.model_validate({"secret_name": "app", "key": "token", **keys}, context={"directory": directory})


def test_the_target_names_namespace_secret_and_key() -> None:
    """Several keys in their order; the manager is that of the first."""
    sink = made(**KEYS)
    assert (sink.target, sink.manager) == ("k8s:default/app#token", "tokend.token")
    sink = made(**KEYS, key=None, namespace="team", values={"b": "x", "a": "y"})
    assert (sink.target, sink.manager) == ("k8s:team/app#a,b", "tokend.a")
    assert made(**KEYS, field_manager="ops").manager == "ops"
    assert sink.upstream == "cluster.example:6443"


def test_a_command_that_prints_the_value_is_known() -> None:
    """A login by it would depend on what it logs in for."""
    sink = made(**KEYS)
    assert sink.is_read_by(("kubectl", "get", "secret", "app", "-o", "jsonpath={.data.token}"))
    assert not sink.is_read_by(("kubectl", "get", "secret", "app", "-o", "jsonpath={.data.other}"))


def test_two_sinks_of_one_secret_need_two_managers() -> None:
    """An apply takes away what its manager no longer names: the other sink's key."""
    one, other = made(**KEYS, key="a"), made(**KEYS, key="b")
    assert not one.exclusive_targets() & other.exclusive_targets()
    assert one.exclusive_targets() & made(**KEYS, key=None, values={"a": "x", "c": "y"}).exclusive_targets()
    same = [made(**KEYS, key=key, field_manager="ops").exclusive_targets() for key in "ab"]
    assert same[0] & same[1]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"secret_name": "ghp_Planted"}, "secret_name"),
        ({"secret_name": "a/b"}, "secret_name"),
        ({"secret_name": "-a"}, "secret_name"),
        ({"namespace": "a.b"}, "namespace"),
        ({"key": "a b"}, "key"),
        ({"key": None}, "either key"),
        ({"values": {"a": "b"}}, "either key"),
        ({"key": None, "values": {"a/b": "c"}}, "keys of a Secret"),
        ({"server": "http://cluster.example"}, "https"),
        ({"field_manager": "x" * 129}, "field_manager"),
        ({"field_manager": "a\nb"}, "field_manager"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys: dict[str, Any], said: str) -> None:
    """Names cannot leave their place in the URL; the text is not quoted."""
    with pytest.raises(ValidationError) as refused:
        made(**{**KEYS, **keys})
    assert said in str(refused.value)
    assert "Planted" not in str(refused.value)


def test_outside_a_pod_the_way_to_a_cluster_must_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """No default leads anywhere."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ValidationError, match="runs in no pod: set kubeconfig, or server and auth"):
        made()


def test_inside_a_pod_its_service_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Namespace, authority and server; the token's file is read at each use."""

    class InPod(KubernetesSink):
        pod = tmp_path

    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert made(InPod).target == "k8s:default/app#token"
    (tmp_path / "namespace").write_text("team\n")
    sink = made(InPod)
    assert sink.target == "k8s:team/app#token"
    assert sink.server == "https://[fd00::1]:443"
    assert sink.ca_file == tmp_path / "ca.crt"
    assert sink.auth == SecretSource(file=tmp_path / "token")
    assert made(InPod, namespace="other").namespace == "other"


def test_a_kubeconfig_gives_server_and_namespace(tmp_path: Path) -> None:
    """The table's own keys count before it; a relative path begins at the configuration's directory."""
    written(tmp_path / "config", cluster={"proxy-url": "http://proxy.example:3128"})
    sink = made(directory=tmp_path, kubeconfig="config")
    assert (sink.target, sink.server) == ("k8s:team/app#token", "https://cluster.example:6443")
    assert sink.proxy == "http://proxy.example:3128"
    assert made(directory=tmp_path, kubeconfig="config", namespace="other").namespace == "other"
    assert sink == made(directory=tmp_path, kubeconfig="config")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"kubeconfig": "missing"}, "cannot be read"),
        ({"kubeconfig": "~/config"}, "~ is not expanded"),
        ({"kubeconfig": 5}, "kubeconfig"),
        ({"kubeconfig": "config", "context": "nowhere"}, "no context of that name"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_an_error(tmp_path: Path, keys: dict[str, Any], said: str) -> None:
    """At `check`, with the key."""
    written(tmp_path / "config")
    with pytest.raises(ValidationError, match=said):
        made(directory=tmp_path, **keys)


def test_a_plugin_of_a_kubeconfig_is_refused_unless_auth_is_given(tmp_path: Path) -> None:
    """The advice is what then works."""
    written(tmp_path / "config", user={"exec": {"command": "aws"}})
    with pytest.raises(ValidationError, match="give auth beside kubeconfig"):
        made(directory=tmp_path, kubeconfig="config")
    assert made(directory=tmp_path, kubeconfig="config", auth=literal("planted-fake")).server


@pytest.mark.parametrize("way", ["token", "tokenFile"])
def test_the_token_of_a_kubeconfig_is_read_at_each_use(tmp_path: Path, way: str) -> None:
    """Another program may replace it at any time; a file that is gone is an error of the sink."""
    store = PlayedKubernetes()

    def write(token: str) -> None:
        (tmp_path / "token").write_text(f"{token}\n")
        (tmp_path / "token").chmod(0o600)
        written(tmp_path / "config", cluster={"server": store.url}, user={way: token if way == "token" else "token"})

    async def main() -> None:
        write("planted-fake-old")
        sink = made(directory=tmp_path, kubeconfig="config")
        runtime = runtime_of(sink)
        with pytest.raises(SinkError, match="credential has expired"):
            await sink.inspect(runtime)
        write(store.credential)
        assert await sink.inspect(runtime) is not None
        (tmp_path / "config").unlink()
        with pytest.raises(SinkError, match=r"^k8s:team/app#token: kubeconfig: file .*cannot be read"):
            await sink.inspect(runtime)

    try:
        anyio.run(main)
    finally:
        store.close()


def test_certificates_of_a_kubeconfig_are_read_for_tls(tmp_path: Path) -> None:
    """With the file itself, whose changes count from the next exchange on."""
    written(tmp_path / "config", user={"client-certificate-data": "ZmFrZQ==", "client-key-data": "a2V5"})
    sink = made(directory=tmp_path, kubeconfig="config")
    assert sink.holds_pem
    assert sink.held_pem().certificate == b"fake\nkey"
    assert sink.held_pem().files == (tmp_path / "config",)
    assert not made(**KEYS).holds_pem
    assert made(**KEYS).held_pem().files == ()
