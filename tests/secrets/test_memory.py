"""Memory of a running daemon: nothing holds a secret or a token that was replaced, nor a parsed private key."""

import json
import os
import secrets
import signal
import socket
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.cli.running import SECRETS, Running, daemon, eventually, short_directory, write_config
from tests.secrets.memory import OVERWRITES_WHAT_IS_FREED, copies
from tokend.sandbox import Options, start

CONFIG = """\
[daemon]
socket = "tokend.sock"
state_directory = "state"

[providers.partner]
kind = "jwt"
secret = {{ file = "secrets/partner" }}

[[providers.partner.sinks]]
kind = "raw"
path = "partner.jwt"

[[providers.partner.sinks]]
kind = "dotenv"
path = ".env"
key = "PARTNER"

[[providers.partner.sinks]]
kind = "template"
path = "partner.txt"
template = "token={{{{ access_token }}}}"

[providers.signed]
kind = "jwt"
algorithm = "RS256"
secret = {{ file = "secrets/pem" }}

[providers.plain]
kind = "jwt"
secret = "LITERAL"

[providers.topstepx]
kind = "projectx"
base_url = "{url}"
username = {{ file = "secrets/projectx-username" }}
api_key = {{ file = "secrets/projectx-key" }}

[[providers.topstepx.sinks]]
kind = "json"
path = "topstepx.json"

[providers.wallet]
kind = "request-jwt"
key = {{ file = "secrets/wallet-key" }}
secret = {{ file = "secrets/wallet-secret" }}

[providers.links]
kind = "auth-token"
base_url = "{url}"
client_secret = {{ file = "secrets/xerve" }}
"""
HELD = ("partner", "signed", "plain", "topstepx")
USER = ("clientId=c", "username=u", "displayName=d", "ipAddress=127.0.0.1")


def may_read_memory() -> bool:
    """Whether we have CAP_SYS_PTRACE, as root has but in some containers."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:")]
    return bool(int(line.split()[1], 16) & 1 << 19)


pytestmark = pytest.mark.skipif(not may_read_memory(), reason="it takes CAP_SYS_PTRACE to read a process's memory")


def fresh(name: str) -> str:
    return f"planted-fake-{name}-{secrets.token_hex(24)}"


def pem(key: rsa.RSAPrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def used(running: Running) -> None:
    """Read every token in several forms, and issue what is issued: all caches are full."""
    for name in HELD:
        for output in ("raw", "json"):
            for _ in range(2):
                assert running.tokend("get", name, "-o", output).code == 0
    assert running.tokend("issue", "wallet", "url=/pay").code == 0
    running.tokend("issue", "links", *USER)


def pid_of(running: Running) -> int:
    """The process that listens on the socket (unix(7), SO_PEERCRED)."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(running.socket))
        pid: int = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        return pid


def nothing_left(pid: int, needles: Mapping[str, bytes]) -> bool:
    """Wait for the sweeps."""
    return eventually(lambda: not copies(pid, needles))


def test_what_was_replaced_is_not_in_memory_after_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets in files and in the configuration, private keys, and tokens; all of them were read, sent and written."""
    for name, value in OVERWRITES_WHAT_IS_FREED.items():
        monkeypatch.setenv(name, value)
    keys = [rsa.generate_private_key(65537, 2048) for _ in range(2)]
    literal = fresh("literal")
    with short_directory() as directory, start(Options()) as sandbox:
        config = write_config(directory, CONFIG, url=sandbox.url)
        config.write_text(config.read_text().replace("LITERAL", literal))
        config.chmod(0o600)
        place = directory / "secrets"
        for name in ("partner", "wallet-key", "wallet-secret"):
            (place / name).write_text(fresh(name))
        (place / "pem").write_bytes(pem(keys[0]))
        with daemon(config) as running:
            for name in HELD:
                running.becomes(name, "valid")
            used(running)
            before = {name: running.client.get(name).access_token for name in HELD}
            old = {f"the token of {name}": value[-40:].encode() for name, value in before.items()}
            old |= {name: (place / name).read_bytes() for name in ("partner", "wallet-key", "wallet-secret")}
            old |= {"literal": literal.encode(), "xerve": SECRETS["xerve"].encode()}
            old |= {"a line of the PEM": pem(keys[0]).splitlines()[9], "projectx-key": SECRETS["projectx-key"].encode()}
            prime = keys[0].private_numbers().p
            old |= {order: prime.to_bytes(128, order) for order in ("little", "big")}
            assert copies(pid_of(running), old).keys() >= {"literal", *(f"the token of {name}" for name in HELD)}
            _replace(running, place, pem(keys[1]), literal)
            assert eventually(lambda: all(running.client.get(name).access_token != before[name] for name in HELD))
            (place / "projectx-key").write_text(fresh("wrong"))
            running.tokend("refresh", "topstepx")  # the wrong key, which is refused
            running.tokend("issue", "links", *USER)
            used(running)
            assert nothing_left(pid_of(running), old), copies(pid_of(running), old)


def _replace(running: Running, place: Path, key: bytes, literal: str) -> None:
    running.config.write_text(running.config.read_text().replace(literal, fresh("literal")))
    assert running.tokend("reload").code == 0
    for name in ("partner", "wallet-key", "wallet-secret", "xerve"):
        (place / name).write_text(fresh(name))
    (place / "pem").write_bytes(key)
    assert running.tokend("refresh", "topstepx").code == 0


def test_a_token_that_was_forgotten_is_not_in_memory_after_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tokend forget` drops a compromised token everywhere."""
    for name, value in OVERWRITES_WHAT_IS_FREED.items():
        monkeypatch.setenv(name, value)
    with short_directory() as directory, start(Options()) as sandbox:
        config = write_config(directory, CONFIG.replace("LITERAL", fresh("literal")), url=sandbox.url)
        config.chmod(0o600)
        (directory / "secrets" / "pem").write_bytes(pem(rsa.generate_private_key(65537, 2048)))
        with daemon(config) as running:
            for name in HELD:
                running.becomes(name, "valid")
            used(running)
            old = {name: running.client.get(name).access_token[-40:].encode() for name in HELD}
            for name in HELD:
                assert running.tokend("forget", name).code == 0
            assert nothing_left(pid_of(running), old), copies(pid_of(running), old)


REFRESHED = """\
[daemon]
socket = "tokend.sock"
state_directory = "state"

[providers.mine]
kind = "oauth2"
grant = "refresh_token"
token_url = "{url}/oauth2/token"
client_id = "sandbox-oauth2-client"
client_secret = "sandbox-oauth2-secret"
refresh_token = "sandbox-refresh-token"
"""


def test_a_refresh_token_that_was_replaced_is_not_in_memory_after_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer brings another one; the record in the state has the one of now."""
    for name, value in OVERWRITES_WHAT_IS_FREED.items():
        monkeypatch.setenv(name, value)
    with short_directory() as directory, start(Options()) as sandbox:
        config = write_config(directory, REFRESHED, url=sandbox.url)
        config.chmod(0o600)

        def kept() -> bytes:
            record = json.loads((directory / "state/tokens/mine.json").read_bytes())
            return str(record["login"]["state"]["login"]["refresh_token"]).encode()

        with daemon(config) as running:
            running.becomes("mine", "valid")
            old = {"refresh token": kept(), "access token": running.client.get("mine").access_token.encode()}
            running.tokend("get", "mine", "-o", "json")
            assert copies(pid_of(running), old).keys() == old.keys()
            assert running.tokend("refresh", "mine").code == 0
            assert kept() != old["refresh token"]
            assert nothing_left(pid_of(running), old), copies(pid_of(running), old)


def test_the_search_finds_what_is_in_memory() -> None:
    """A search that found nothing anywhere would prove nothing."""
    needle = fresh("needle")
    code = f"import sys\nheld = '{needle[:20]}' + '{needle[20:]}'\nprint(flush=True)\nsys.stdin.read()"
    environment = {**os.environ, **OVERWRITES_WHAT_IS_FREED}
    with subprocess.Popen(
        ["python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert copies(process.pid, {"needle": needle.encode(), "none": fresh("none").encode()}) == {"needle": 1}
        process.send_signal(signal.SIGKILL)
