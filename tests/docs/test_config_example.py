"""config.toml.example: every key of every table with its real default, and none that does not exist."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tests.config.written import AUTHORITY, CA_PEM, in_words, loaded, written
from tests.providers.private_keys import google_key, rsa_pem
from tokend import kinds
from tokend.config import Config, DaemonSettings, SocketSettings
from tokend.config.fields import known_keys
from tokend.config.paths import default_socket, default_state_directory
from tokend.plugin.secret_source import SecretSource, is_shown
from tokend.plugin.settings import Access
from tokend.plugin.vault_settings import VaultSettings
from tokend.sinks.files.announce import Signal, Systemd

PROVIDERS, SINKS = kinds.PROVIDERS.all(), kinds.SINKS.all()

EXAMPLE = Path(__file__).parents[2] / "config.toml.example"
# `#key = value` and `#[table]` are configuration; `# words` are prose.
COMMENTED = re.compile(r"#(?=[A-Za-z\[])")
MARK = re.compile(r" +# (required|no default)$")
MARKED = re.compile(r"#(\w+) = .*?(?: +# (required|no default))?$")
KUBECONFIG = json.dumps({
    "current-context": "production",
    "contexts": [{"name": "production", "context": {"cluster": "a", "user": "b"}}],
    "clusters": [{"name": "a", "cluster": {"server": "https://cluster.example.com:6443"}}],
    "users": [{"name": "b", "user": {"token": "obviously-fake"}}],
})  # fmt: skip
PLUGIN = """
from tokend.plugin import HeldSettings

class Acme(HeldSettings):
    kind: str = "acme"

    async def fetch(self, runtime, previous):
        raise NotImplementedError
"""
NESTED: Mapping[str, type[BaseModel]] = {"access": Access, "signal": Signal, "systemd": Systemd}


def text() -> str:
    return EXAMPLE.read_text()


def uncommented() -> str:
    return "\n".join(COMMENTED.sub("", line, count=1) for line in text().split("\n"))


def tables() -> Iterator[tuple[str, type[BaseModel], dict[str, Any]]]:
    """Every table of the example with the model it is written for. One with a vendor is written for its file."""
    document = tomllib.loads(uncommented())
    yield "[daemon]", DaemonSettings, document["daemon"]
    for number, socket in enumerate(document["sockets"], 1):
        yield f"[[sockets]] {number}", SocketSettings, socket
    for name, vault in document["vaults"].items():
        yield f"[vaults.{name}]", VaultSettings, vault
    for name, table in document["providers"].items():
        if "vendor" in table:  # no kind's own: what is in the vendor's file
            continue
        yield f"[providers.{name}]", PROVIDERS[table["kind"]], table
        for number, sink in enumerate(table.get("sinks", []), 1):
            yield f"[[providers.{name}.sinks]] {number}", SINKS[sink["kind"]], sink


def marks() -> list[dict[str, str | None]]:
    """The same tables, as written: for each key the mark behind it."""
    found: list[dict[str, str | None]] = []
    for line in text().split("\n"):
        if line.startswith("#["):
            found.append({})
        elif (match := MARKED.fullmatch(line)) and found:
            assert match[1] not in found[-1], f"{match[1]} stands twice in one table"
            found[-1][match[1]] = match[2]
    return [table for table in found if "vendor" not in table]


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def default_of(model: type[BaseModel], key: str) -> Any:
    """The default as TOML has it; None where there is none, or it is empty."""
    if model is DaemonSettings and key in {"socket", "state_directory"}:
        return {"socket": default_socket({}, 0), "state_directory": default_state_directory({}, 0)}[key]
    field = fields(model)[key]
    value = None if field.is_required() else field.get_default(call_default_factory=True)
    if isinstance(value, timedelta):
        return in_words(value)
    if isinstance(value, tuple):
        return list(value) or None
    if isinstance(value, BaseModel):
        return None
    return None if value == {} else value


def as_duration(value: Any) -> Any:
    """60s and 1m are the same."""
    from tokend.plugin.settings_base import parse_duration

    try:
        return parse_duration(value)
    except (ValueError, TypeError):
        return value


def test_every_kind_of_provider_and_sink_is_shown() -> None:
    """Also one that will be added."""
    models = {model for _, model, _ in tables()}
    assert models == {DaemonSettings, SocketSettings, VaultSettings, *PROVIDERS.values(), *SINKS.values()}


@pytest.mark.parametrize(
    "model",
    [DaemonSettings, SocketSettings, VaultSettings, *PROVIDERS.values(), *SINKS.values()],
    ids=lambda model: model.__name__,
)
def test_every_key_of_every_table_is_there_and_no_other(model: type[BaseModel]) -> None:
    """Derived from the models: a new field has to be written down here."""
    shown = {key for _, other, table in tables() if other is model for key in table} - {"sinks"}
    assert shown == set(fields(model))


@pytest.mark.parametrize(
    "model",
    [DaemonSettings, SocketSettings, VaultSettings, *PROVIDERS.values(), *SINKS.values()],
    ids=lambda model: model.__name__,
)
def test_the_pages_name_every_key(model: type[BaseModel]) -> None:
    """Those of the daemon on the page of the configuration, the others on any page."""
    pages = (
        ["configuration.md"] if model is DaemonSettings else ["configuration.md", "kinds.md", "sinks.md", "stores.md"]
    )
    named = " ".join((EXAMPLE.parent / "docs" / page).read_text() for page in pages)
    assert {key for key in fields(model) if not re.search(rf"\b{key}\b", named)} == set()


def test_each_default_is_the_real_one() -> None:
    """A value that is not marked is what holds if the line is left as it is."""
    for (place, model, table), marked in zip(tables(), marks(), strict=True):
        for key, value in table.items():
            if key != "sinks" and marked[key] is None:
                assert as_duration(value) == as_duration(default_of(model, key)), f"{place} {key}"


def test_what_has_no_default_is_marked_and_nothing_else() -> None:
    """`# required` where a table is wrong without the key, `# no default` where the key may be left out."""
    for (place, model, table), marked in zip(tables(), marks(), strict=True):
        for key in table.keys() - {"sinks"}:
            has_default = default_of(model, key) is not None
            expected = None if has_default else "required" if fields(model)[key].is_required() else "no default"
            assert marked[key] == expected, f"{place} {key}"


def test_the_tables_inside_are_complete_too() -> None:
    """access, signal and systemd with all their keys; inner defaults are the real ones."""
    seen = set()
    for place, _, table in tables():
        for key in table.keys() & NESTED.keys():
            seen.add(key)
            missing = set(fields(NESTED[key])) - set(table[key])
            # `login` of access is a key of few kinds: it is shown once.
            assert missing <= ({"login"} if key == "access" else set()), f"{place} {key}"
            for inner, value in table[key].items():
                default = default_of(NESTED[key], inner)
                assert default in (None, value), f"{place} {key}.{inner}"
    assert seen == set(NESTED)
    assert any("login" in table.get("access", {}) for _, _, table in tables())


def test_every_way_to_name_a_secret_is_shown() -> None:
    """In a table, and among the rules at the top."""
    used = {key for _, _, table in tables() for value in table.values() if isinstance(value, dict) for key in value}
    assert set(known_keys(SecretSource, ())) <= used
    for place in ("env", "file", "credential", "command", "token", "age", "keyring", "vault"):
        assert re.search(rf"^# +{{ {place} = ", text(), re.MULTILINE)


def test_the_file_as_it_is_delivered_is_a_configuration(tmp_path: Path) -> None:
    """Copied as it stands it is accepted, and does nothing yet, also if all users may read it."""
    config = loaded(written(tmp_path, text(), mode=0o644), environ={})
    assert config.providers == {}
    assert config.warnings == ()


@pytest.fixture
def everything(tmp_path: Path) -> Config:
    """The example with every line in force, and all that it names at its place."""
    client = AUTHORITY.issue_cert("client.example")
    written(tmp_path, CA_PEM, name="ca.pem")
    written(tmp_path, client.cert_chain_pems[0].bytes(), name="client.pem")
    written(tmp_path, client.private_key_pem.bytes(), name="client.key")
    written(tmp_path, "", name="token.yaml.j2")
    written(tmp_path, KUBECONFIG, name="kubeconfig.json")
    for name in ("github-app.pem", "api.pem"):
        written(tmp_path, rsa_pem(), name=name)
    identity = pyrage.x25519.Identity.generate()
    written(tmp_path, pyrage.encrypt(rsa_pem().encode(), [identity.to_public()]), name="github-app.pem.age")
    written(tmp_path, str(identity), name="identity.txt")
    written(tmp_path, google_key(), name="google-key.json")
    for name in ("partner.secret", "listen.secret", "vault.role-id", "cloud.key", "exchange.key"):
        written(tmp_path, "obviously fake, and longer than 32 bytes", name=name)
    for name in ("credentials/tokend-state-key", "old-state.key", "login.key"):
        written(tmp_path, "obviously fake, and of 32 bytes.", name=name)
    written(tmp_path, '{"accounts": [{"token": "obviously-fake"}]}', name="mesh.token")
    written(tmp_path, '{"secret": "obviously-fake"}', name="tt-application.json")
    for name in ("tt-key", "vault-secret-id"):
        written(tmp_path, "obviously-fake", name=f"credentials/{name}")
    written(tmp_path, PLUGIN, name="plugins/acme.py")
    environ = dict.fromkeys(re.findall(r'env = "([A-Z_]+)"', text()), "eyJ-obviously-fake")
    environ["CREDENTIALS_DIRECTORY"] = str(tmp_path / "credentials")
    # A group that every machine has: an unknown one is an error, because no program could reach the socket.
    example = uncommented().replace('socket_group = "tokend-clients"', 'socket_group = "root"')
    # A token that another program would have brought.
    example = example.replace('"/run/mesh/token"', '"mesh.token"')
    return loaded(written(tmp_path, example), environ=environ)


def test_with_every_line_in_force_it_is_accepted(everything: Config) -> None:
    """No key excludes another; the only warnings are about users and groups of somebody else's machine."""
    assert {provider.settings.kind for provider in everything.providers.values()} == set(PROVIDERS)
    assert all("on this machine" in warning.message for warning in everything.warnings)


def test_prose_and_keys_can_be_distinguished_and_lines_are_short() -> None:
    """The convention at its top holds everywhere, so that taking away one # is all there is to do."""
    for line in text().split("\n"):
        assert len(line) <= 120, line
        assert line in {"", "#"} or re.match(r"# |#\[{1,2}[a-z.-]+\]{1,2}$|#[a-z_]+ = \S", line), line
        assert line == line.rstrip()
        assert "# required" not in line or MARK.search(line) or line.startswith("# "), line


def test_messages_show_the_files_of_the_example() -> None:
    """A file's name without ./ before it may be a secret, and is not shown."""
    files = re.findall(r'[{ ]file = "([^"]*)"', text())
    assert len(files) >= 4
    assert all(is_shown("file", name) for name in files)
