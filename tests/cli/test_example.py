"""The example, cut down to some kinds: valid, with the required keys in force and nothing else."""

import json
import tomllib
from itertools import combinations
from pathlib import Path

import pytest

from tests.config.written import KEY, loaded, refused, written
from tests.providers.private_keys import google_key, rsa_pem
from tokend.cli import example
from tokend.config import load
from tokend.kinds import PROVIDERS, SINKS

OWN = (
    "projectx",
    "tt",
    "jwt",
    "vault",
    "github-app",
    "google-service-account",
    "http",
    "oauth2",
    "command",
    "file",
    "request-jwt",
    "http-on-demand",
    "jwt-on-demand",
    "auth-token",
)
# That of auth-token is the output of a command, which a check does not run.
NO_REQUIRED_SECRET = {"auth-token", "command", "file", "http", "http-on-demand"}


def test_the_example_has_every_kind_of_our_own() -> None:
    """Held kinds first, then those that are issued on demand."""
    assert example.kinds() == list(OWN)
    assert set(OWN) <= set(PROVIDERS.names())


@pytest.mark.parametrize(
    "wanted", [*((kind,) for kind in OWN), *combinations(OWN, 2), OWN, tuple(reversed(OWN))], ids=" ".join
)
def test_only_secrets_are_missing_in_a_configuration_for_some_kinds(tmp_path: Path, wanted: tuple[str, ...]) -> None:
    """It is complete but for the secrets. Each kind stands there once; a table of another kind does not."""
    text = example.of_kinds(wanted)
    document = tomllib.loads(text)
    assert [table["kind"] for table in document["providers"].values()] == list(wanted)
    assert text.startswith(f"# tokend: a configuration for {', '.join(wanted)}.\n")
    assert text.count("#include") == text.count("#[daemon]") == 1
    # The first line has all names.
    assert max(map(len, text.splitlines()[1:])) <= 120
    main = written(tmp_path, text)
    missing = refused(main, environ={}) if set(wanted) - NO_REQUIRED_SECRET else []
    keys = {p.message.split(":")[0] for p in missing}
    secrets = {"username", "api_key", "api_secret", "secret", "key", "client_secret", "role_id", "secret_id"}
    assert keys <= secrets | {"private_key"}
    written(tmp_path, KEY, name="partner.secret")
    written(tmp_path, KEY, name="exchange.key")
    written(tmp_path, json.dumps({"secret": KEY}), name="tt-application.json")
    written(tmp_path, rsa_pem(), name="github-app.pem")
    written(tmp_path, google_key(), name="google-key.json")
    written(tmp_path, KEY, name="vault.role-id")
    for name in ("tt-key", "tt-secret", "vault-secret-id"):
        written(tmp_path, KEY, name=f"credentials/{name}")
    names = ("PROJECT_X_USERNAME", "PROJECT_X_API_KEY", "WALLET_AUTH_KEY", "WALLET_ENC_KEY", "API_CLIENT_SECRET")
    environ = dict.fromkeys(names, KEY) | {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    config = load(main, providers=PROVIDERS, sinks=SINKS, environ=environ)
    assert [provider.settings.kind for provider in config.providers.values()] == list(wanted)


@pytest.mark.parametrize(
    ("wanted", "table"), [(("jwt",), "partner"), (("request-jwt", "jwt"), "partner"), (("tt",), "tt")]
)
def test_a_kind_that_holds_a_token_comes_with_a_sink_to_uncomment(wanted: tuple[str, ...], table: str) -> None:
    """Where its own part of the example has none, the others' are there, for its table."""
    text = example.of_kinds(wanted)
    assert f"#[[providers.{table}.sinks]]" in text
    assert "providers.topstepx" not in text


def test_kinds_that_hold_no_token_come_without_sinks() -> None:
    """They would be refused there."""
    assert "sinks]]" not in example.of_kinds(("request-jwt", "auth-token"))


def test_the_whole_example_is_a_valid_configuration(tmp_path: Path) -> None:
    """Nothing in it is in force."""
    assert loaded(written(tmp_path, example.whole()), environ={}).providers == {}
