"""Kind ``vault`` against a real OpenBao: logins, tokens that live on, refusals; and a whole run that uses its token."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.counterparts.conftest import ROOT_TOKEN
from tests.counterparts.programs import Counterpart
from tests.fakes import literal
from tokend.machine.clock import SystemClock
from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.settings import HeldSettings
from tokend.providers.jwt import Jwt
from tokend.providers.vault import RENEWABLE, Vault
from tokend.upstream.provider_runtime import ProviderRuntime
from tokend.values.errors import AttemptError, RejectedError, TransientError
from tokend.values.tokens import Token, ready_headers

ENDED = {"token_ttl": "30s", "token_max_ttl": "30s"}


def ask(
    server: Counterpart, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> Any:
    """Ask something as root, or with the headers of a token; the answer, or the status of a refusal."""
    request = urllib.request.Request(  # noqa: S310  (loopback)
        f"{server.url}/v1/{path}", None if body is None else json.dumps(body).encode(),
        headers or {"X-Vault-Token": ROOT_TOKEN}, method=method,
    )  # fmt: skip
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as reply:
            return json.loads(reply.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code


def role(server: Counterpart, name: str, namespace: str = "", **settings: str) -> dict[str, Any]:
    """Make an AppRole; the keys of a provider that logs in with it."""
    headers = {"X-Vault-Token": ROOT_TOKEN, **({"X-Vault-Namespace": namespace} if namespace else {})}
    ask(server, "POST", "sys/auth/approle", {"type": "approle"}, headers)  # it may be there already
    path = f"auth/approle/role/{name}"
    limits = {"token_ttl": "60s", "token_max_ttl": "1h", **settings}
    assert not isinstance(ask(server, "POST", path, limits, headers), int)
    secret_id = ask(server, "POST", f"{path}/secret-id", {}, headers)["data"]["secret_id"]
    role_id = ask(server, "GET", f"{path}/role-id", None, headers)["data"]["role_id"]
    return {"auth_method": "approle", "role_id": literal(role_id), "secret_id": literal(secret_id)}


def attempt(settings: HeldSettings, previous: Token | None = None) -> Token | AttemptError:
    """Make one attempt with real requests."""

    async def main() -> Token | AttemptError:
        runtime = ProviderRuntime(settings, clock=SystemClock(), threads=ThreadPool(1))
        try:
            found: Token = await settings.fetch(runtime, previous)  # type: ignore[attr-defined]  # a kind has it
        except AttemptError as error:
            return error
        return found

    return anyio.run(main)


def token_of(outcome: Token | AttemptError) -> Token:
    assert isinstance(outcome, Token), outcome
    return outcome


def works(server: Counterpart, token: Token) -> bool:
    """Whether the headers that readers get are accepted."""
    return not isinstance(ask(server, "GET", "auth/token/lookup-self", None, ready_headers(token, {})), int)


def test_a_token_of_an_approle_lives_on_and_is_replaced_at_its_maximum(openbao: Counterpart) -> None:
    """renew-self gives the same token its life again; when the role gives less, a login follows in the attempt."""
    settings = Vault(address=openbao.url, **role(openbao, "lives-on"))
    first = token_of(attempt(settings))
    assert (first.life_seconds, first.extra[RENEWABLE], works(openbao, first)) == (60, True, True)
    extended = token_of(attempt(settings, first))
    assert (extended.value, extended.is_extended, extended.life_seconds) == (first.value, True, 60)
    role(openbao, "lives-on", **ENDED)
    replaced = token_of(attempt(settings, extended))
    assert (replaced.value != first.value, replaced.is_extended, replaced.life_seconds) == (True, False, 30)
    assert works(openbao, replaced)


def test_a_revoked_token_is_replaced_at_once(openbao: Counterpart) -> None:
    """The server answers 403 to renew-self."""
    settings = Vault(address=openbao.url, **role(openbao, "revoked"))
    first = token_of(attempt(settings))
    ask(openbao, "POST", "auth/token/revoke", {"token": first.value.reveal()})
    assert not works(openbao, first)
    second = token_of(attempt(settings, first))
    assert second.value != first.value
    assert works(openbao, second)


def test_a_batch_token_is_known_as_one(openbao: Counterpart) -> None:
    """It cannot live on: no request is wasted on it."""
    settings = Vault(address=openbao.url, **role(openbao, "batch", token_type="batch"))
    first = token_of(attempt(settings))
    assert first.extra[RENEWABLE] is False
    assert works(openbao, first)
    assert token_of(attempt(settings, first)).value != first.value


def test_wrong_credentials_are_rejected_with_the_servers_words(openbao: Counterpart) -> None:
    """No timer repeats such a login."""
    keys = role(openbao, "wrong")
    wrong = literal("00000000-0000-0000-0000-000000000000")
    for changed in ({"secret_id": wrong}, {"role_id": wrong}):
        outcome = attempt(Vault(address=openbao.url, **{**keys, **changed}))
        assert isinstance(outcome, RejectedError)
        assert "invalid role or secret ID" in str(outcome.said)
    missing = attempt(Vault(address=openbao.url, **{**keys, "mount": "nowhere"}))
    assert isinstance(missing, AttemptError)


def test_a_namespace_has_its_own_logins(openbao: Counterpart) -> None:
    """Its tokens need the header, which readers get with them."""
    ask(openbao, "POST", "sys/namespaces/team", {})
    settings = Vault(address=openbao.url, namespace="team", **role(openbao, "inside", "team"))
    first = token_of(attempt(settings))
    assert works(openbao, first)
    assert token_of(attempt(settings, first)).is_extended


def test_a_jwt_of_another_provider_is_a_login(openbao: Counterpart) -> None:
    """Kind ``jwt`` signs it; the server knows the public key."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()  # fmt: skip
    ask(openbao, "POST", "sys/auth/ci", {"type": "jwt"})
    ask(openbao, "POST", "auth/ci/config", {"jwt_validation_pubkeys": [public]})
    bound = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_ttl": "60s"}
    ask(openbao, "POST", "auth/ci/role/bot", bound)
    identity = Jwt(secret=literal(pem), algorithm="ES256", claims={"sub": "desk-1", "aud": "vault"})
    signed = token_of(attempt(identity)).value.reveal()
    settings = Vault(address=openbao.url, auth_method="jwt", mount="ci", role="bot", jwt=literal(signed))
    assert works(openbao, token_of(attempt(settings)))
    refused = attempt(settings.model_copy(update={"role": "nobody"}))
    assert isinstance(refused, RejectedError)


def test_a_sealed_server_is_an_outage(openbao: Counterpart) -> None:
    """The login is tried again later; the credentials are not rejected."""
    settings = Vault(address=openbao.url, **role(openbao, "sealed"))
    first = token_of(attempt(settings))
    unseal = re.search(r"Unseal Key: (\S+)", openbao.output.read_text())
    assert unseal is not None
    ask(openbao, "PUT", "sys/seal", {})
    try:
        for previous in (None, first):
            outcome = attempt(settings, previous)
            assert isinstance(outcome, TransientError)
            assert "503" in str(outcome)
    finally:
        ask(openbao, "PUT", "sys/unseal", {"key": unseal[1]})
    assert isinstance(attempt(settings), Token)


CONFIG = """
[daemon]
state_directory = "{directory}/state"
socket = "{directory}/tokend.sock"

[providers.partner]
kind = "jwt"
jti = true
secret = {{ file = "./secret" }}

[[providers.partner.sinks]]
kind = "vault"
address = "{url}"
path = "desk/partner"
auth = {{ token = "vault-login" }}

[providers.vault-login]
kind = "vault"
address = "{url}"
auth_method = "approle"
role_id = {{ file = "./role-id" }}
secret_id = {{ file = "./secret-id" }}
"""


def run_once(path: Path) -> str:
    """Run tokend until its token is in the store; what it printed."""
    command = [sys.executable, "-m", "tokend", "run", "--once", "--config", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout + run.stderr


def test_a_whole_run_writes_with_the_token_of_its_login(openbao: Counterpart, tmp_path: Path) -> None:
    """The sink waits for the login. A login's token that was revoked meanwhile is replaced in the next run."""
    policy = 'path "secret/data/desk/*" { capabilities = ["create", "update", "patch", "read"] }\n'
    policy += 'path "secret/metadata/desk/*" { capabilities = ["read", "patch"] }\n'
    ask(openbao, "PUT", "sys/policies/acl/desk", {"policy": policy})
    keys = role(openbao, "desk", token_policies="desk")
    for name in ("role_id", "secret_id"):
        (tmp_path / name.replace("_", "-")).write_text(keys[name].literal.reveal())
    (tmp_path / "secret").write_text("obviously-fake-secret-of-more-than-32-bytes")
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(url=openbao.url, directory=tmp_path))
    for file in tmp_path.iterdir():
        file.chmod(0o600)
    printed = run_once(path)
    first = ask(openbao, "GET", "secret/data/desk/partner")["data"]["data"]["token"]
    assert first.count(".") == 2
    [saved] = [one for one in (tmp_path / "state").rglob("*vault-login*.json") if one.is_file()]
    token = json.loads(saved.read_text())["lease"]["token"]["value"]
    ask(openbao, "POST", "auth/token/revoke", {"token": token})
    (saved.parent / saved.name.replace("vault-login", "partner")).unlink()  # so that another one is signed
    printed += run_once(path)
    second = ask(openbao, "GET", "secret/data/desk/partner")["data"]["data"]["token"]
    assert second != first
    for secret in (keys["secret_id"].literal.reveal(), token, first, second):
        assert secret not in printed
