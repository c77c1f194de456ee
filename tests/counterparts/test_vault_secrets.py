"""Secrets in a real OpenBao: both versions of KV, what is refused there, and whole runs that read one."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.config.written import written
from tests.counterparts.conftest import ROOT_TOKEN
from tests.counterparts.programs import Counterpart
from tests.counterparts.test_openbao_login import ask, role
from tests.fakes import literal
from tests.plugin.places import in_vault
from tokend.machine.clock import SystemClock
from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.secret_source import SecretSource
from tokend.providers.jwt import Jwt
from tokend.upstream.provider_runtime import ProviderRuntime
from tokend.values.errors import SecretError

KEY = "obviously-fake-secret-of-32-bytes"


def put(server: Counterpart, path: str, **fields: Any) -> None:
    """Write a secret of version 2."""
    assert not isinstance(ask(server, "POST", f"secret/data/{path}", {"data": fields}), int)


def place(server: Counterpart, *, keys: Mapping[str, Any] | None = None, **more: Any) -> SecretSource:
    """A secret in the server; ``keys`` are more keys of its vault's table."""
    return in_vault({"address": server.url, "auth": literal(ROOT_TOKEN), **(keys or {})}, **more)


def read(source: SecretSource) -> str:
    """Read it as a provider does; what the secret is, or why it cannot be read."""

    async def main() -> str:
        runtime = ProviderRuntime(Jwt(secret=source), clock=SystemClock(), threads=ThreadPool(2))
        try:
            return (await runtime.reveal(source)).reveal()
        except SecretError as error:
            assert "planted" not in error.detail
            return error.detail

    return anyio.run(main)


def test_a_field_is_read_at_each_use(openbao: Counterpart) -> None:
    """A text, a number, a part of an object, a part of all fields; a changed secret counts at once."""
    put(openbao, "tt", api_key="planted-fake\n", number=17, inner={"key": "eA=="}, text='{"key": "y"}')
    assert read(place(openbao, path="tt", field="api_key")) == "planted-fake"
    assert read(place(openbao, path="tt", field="number")) == "17"
    assert read(place(openbao, path="tt", field="inner", select="key", encoding="base64")) == "x"
    assert read(place(openbao, path="tt", field="text", select="key")) == "y"
    assert read(place(openbao, path="/tt/", select="inner.key")) == "eA=="
    put(openbao, "tt", api_key="fake-newer")
    assert read(place(openbao, path="tt", field="api_key")) == "fake-newer"


def test_both_versions_of_the_engine_are_read(openbao: Counterpart) -> None:
    """A wrong kv_version is named."""
    ask(openbao, "POST", "sys/mounts/plain", {"type": "kv", "options": {"version": "1"}})
    ask(openbao, "POST", "plain/app/tt", {"api_key": "fake-of-version-1"})
    old: dict[str, Any] = {"keys": {"kv_version": 1}, "mount": "plain", "path": "app/tt"}
    assert read(place(openbao, **old, field="api_key")) == "fake-of-version-1"
    assert "kv_version" in read(place(openbao, mount="plain", path="app/tt", field="api_key"))
    put(openbao, "versions", api_key="planted-fake")
    assert "kv_version" in read(place(openbao, keys={"kv_version": 1}, path="versions", field="api_key"))
    assert "there is no secret at this path" in read(place(openbao, **{**old, "path": "app/other"}, field="api_key"))


def test_what_is_not_there_is_named(openbao: Counterpart) -> None:
    """Path, field, engine, version."""
    put(openbao, "gone", api_key="planted-fake", inner={"a": "planted"})
    assert "the secret has no such field" in read(place(openbao, path="gone", field="other"))
    assert "select takes a part of it" in read(place(openbao, path="gone", field="inner"))
    assert 'select = "b" finds nothing' in read(place(openbao, path="gone", field="inner", select="b"))
    assert "there is no secret at this path" in read(place(openbao, path="nowhere", field="api_key"))
    assert "an engine of that kv_version at mount" in read(place(openbao, mount="none", path="x", field="y"))
    ask(openbao, "DELETE", "secret/data/gone")
    said = read(place(openbao, path="gone", field="api_key"))
    assert said.startswith("vault bao secret/gone#api_key: the server answered 404")
    assert said.endswith("the current version of the secret is deleted or destroyed")


def test_a_namespace_has_secrets_of_its_own(openbao: Counterpart) -> None:
    """One that is not there is named."""
    ask(openbao, "POST", "sys/namespaces/team")
    headers = {"X-Vault-Token": ROOT_TOKEN, "X-Vault-Namespace": "team"}
    ask(openbao, "POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}}, headers)
    ask(openbao, "POST", "kv/data/tt", {"data": {"api_key": "fake-of-the-team"}}, headers)
    there = {"mount": "kv", "path": "tt", "field": "api_key"}
    assert read(place(openbao, keys={"namespace": "team/"}, **there)) == "fake-of-the-team"
    assert "is there such a namespace" in read(place(openbao, keys={"namespace": "other"}, **there))


def test_a_credential_that_is_refused_is_told_from_a_missing_right(openbao: Counterpart) -> None:
    """The server answers 403 to both."""
    put(openbao, "narrow", api_key="planted-fake")
    where = {"path": "narrow", "field": "api_key"}
    said = read(place(openbao, keys={"auth": literal("planted-wrong-token")}, **where))
    assert said.endswith("the server answered 403: the credential has expired, was revoked, or is unknown there")
    made = ask(openbao, "POST", "auth/token/create", {"policies": ["default"]})["auth"]["client_token"]
    said = read(place(openbao, keys={"auth": literal(made)}, **where))
    assert said.endswith("the policy lacks the capability read on secret/data/narrow")
    assert "the vault's table has no auth" in read(place(openbao, keys={"auth": None}, **where))


CONFIG = """
[daemon]
socket = "{directory}/t.sock"
state_directory = "{directory}/state"

[vaults.bao]
address = "{url}"
auth = {{ token = "login" }}

[providers.login]
kind = "vault"
address = "{url}"
auth_method = "approle"
role_id = {{ file = "./role-id" }}
secret_id = {{ file = "./secret-id" }}

[providers.partner]
kind = "jwt"
secret = {{ vault = "bao", path = "desk/partner", field = "secret" }}

[[providers.partner.sinks]]
kind = "vault"
vault = "bao"
path = "desk/tokens"
"""


@pytest.fixture
def config(openbao: Counterpart, tmp_path: Path) -> Path:
    """A configuration whose secret and sink are in the server; the credential there is the token of a login."""
    policy = 'path "secret/data/desk/*" { capabilities = ["create", "update", "patch", "read"] }\n'
    policy += 'path "secret/metadata/desk/*" { capabilities = ["read", "patch"] }\n'
    ask(openbao, "PUT", "sys/policies/acl/desk-secrets", {"policy": policy})
    keys = role(openbao, "desk-secrets", token_policies="desk-secrets", token_ttl="1h")
    for name in ("role_id", "secret_id"):
        written(tmp_path, keys[name].literal.reveal(), name=name.replace("_", "-"))
    return written(tmp_path, CONFIG.format(url=openbao.url, directory=tmp_path))


def tokend(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tokend", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_whole_run_reads_with_the_token_of_its_login(openbao: Counterpart, config: Path) -> None:
    """It waits for the login. The sink writes to the same table. A token of the login that was revoked meanwhile is
    replaced in the next run. No output has a secret."""
    put(openbao, "desk/partner", secret=KEY)
    printed = ""
    for _ in range(2):
        done = tokend("run", "--once", "--config", str(config))
        printed += done.stdout + done.stderr
        assert done.returncode == 0, printed
        made = ask(openbao, "GET", "secret/data/desk/tokens")["data"]["data"]["token"]
        assert made.count(".") == 2
        [saved] = [one for one in (config.parent / "state").rglob("*login*.json") if one.is_file()]
        token = json.loads(saved.read_text())["lease"]["token"]["value"]
        assert KEY not in printed
        assert token not in printed
        ask(openbao, "POST", "auth/token/revoke", {"token": token})
        (saved.parent / saved.name.replace("login", "partner")).unlink()  # so that another one is signed


def test_a_check_contacts_no_vault(openbao: Counterpart, config: Path) -> None:
    """The secret is not there, and the address is nobody's."""
    config.write_text(config.read_text().replace(openbao.url, "http://127.0.0.1:1"))
    done = tokend("check", str(config))
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.dumps(KEY) not in done.stdout
