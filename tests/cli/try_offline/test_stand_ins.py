"""Stand-ins for secrets: placeholders, new keys where a kind signs, and what is shown of them."""

from pathlib import Path

import pytest

from tokend.cli.try_offline.stand_ins import StandIns, stand_in
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import ProviderSettings
from tokend.providers.github_app import GithubApp
from tokend.providers.google_service_account import GoogleServiceAccount
from tokend.providers.jwt import Jwt
from tokend.providers.projectx import ProjectX
from tokend.signing.jwt import key_fault
from tokend.values.secret import Secret

NOWHERE = SecretSource(file=Path("/nonexistent/secret"))
PROJECTX = ProjectX(username=SecretSource(env="NO_USER"), api_key=SecretSource(command=("/bin/false",)))


def test_a_secret_is_its_name_and_its_place_is_not_looked_at() -> None:
    """Neither a variable nor a command nor a file that is not there; always the same one."""
    stand_ins = StandIns(PROJECTX)
    assert PROJECTX.username is not None
    assert PROJECTX.api_key is not None
    assert stand_ins.of(PROJECTX.username) == Secret("{username}")
    assert stand_ins.of(PROJECTX.api_key) == stand_ins.of(PROJECTX.api_key) == Secret("{api_key}")


def test_a_literal_is_not_used() -> None:
    """What stands in the configuration itself is a secret, too."""
    settings = ProjectX(username=SecretSource(literal=Secret("fake-user")), api_key=NOWHERE)
    assert settings.username is not None
    assert StandIns(settings).of(settings.username) == Secret("{username}")


def test_two_secrets_at_one_place_have_each_its_own() -> None:
    """The source itself says which key it stands at; an equal one is found as well."""
    settings = ProjectX(username=NOWHERE, api_key=SecretSource(file=Path("/nonexistent/secret")))
    assert settings.api_key is not None
    stand_ins = StandIns(settings)
    assert stand_ins.of(settings.api_key) == Secret("{api_key}")
    assert stand_ins.of(SecretSource(file=Path("/nonexistent/secret"))) == Secret("{username}")
    assert stand_ins.of(SecretSource(env="ELSEWHERE")) == Secret("{secret}")


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA"])
def test_a_key_that_signs_is_made(algorithm: str) -> None:
    """Of the sort that the algorithm needs."""
    settings = Jwt.model_validate({"kind": "jwt", "secret": {"file": "/nonexistent/key"}, "algorithm": algorithm})
    assert key_fault(StandIns(settings).of(settings.secret), algorithm) is None


def test_kinds_with_keys_of_their_own_form_get_them() -> None:
    """A GitHub App's PEM and the key file of a service account, which leads where the settings lead."""
    kinds: list[ProviderSettings] = [
        GithubApp(client_id="Iv1", owner="me", private_key=NOWHERE),
        GoogleServiceAccount(base_url="https://oauth2.example", key=NOWHERE, scope=("a",)),
    ]
    for settings in kinds:
        name, source = next(iter(settings.secrets().items()))
        assert settings.unusable_secrets({name: StandIns(settings).of(source)}) == {}


def test_a_url_is_shown_with_placeholders_and_without_what_looks_like_a_secret() -> None:
    """In the path and in the query; the rest stays as it is sent."""
    stand_ins = StandIns(PROJECTX)
    url = "https://a.example:8443/bot%7Bapi_key%7D/x?user=%7Busername%7D&flag&n=1"
    assert stand_ins.shown(url) == "https://a.example:8443/bot{api_key}/x?user={username}&flag&n=1"
    random = "k9XqT4vLw2ZpR7mB8nC3dF6g"
    assert stand_ins.shown(f"https://a.example/{random}?k={random}") == "https://a.example/(not shown)?k=(not shown)"
    assert stand_ins.shown("https://a.example/x?t=%7Btoken%7D") == "https://a.example/x?t={token}"
    assert stand_in("token") == Secret("{token}")
