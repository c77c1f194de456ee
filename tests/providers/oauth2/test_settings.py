"""Keys of kind ``oauth2``: defaults, roles, and keys that may stand at two places."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.config.written import loaded, refused, written
from tests.providers.live import env
from tests.providers.oauth2.asking import faults_of, settings
from tokend.plugin.secret_source import SecretSource
from tokend.values.secret import Secret

SIGNING: dict[str, Any] = {"grant": "jwt_bearer", "client_secret": None, "private_key": env("API_KEY")}


def test_the_configuration_reports_all_errors_at_once_with_their_lines(tmp_path: Path) -> None:
    """Of single keys, between keys, in tables and in rows, with the nearest known word; no value of a secret."""
    text = """\
[providers.a]
kind = "oauth2"
grant = "client_credential"
token_url = "http://login.example/token"
client_id = "fake"
client_secret = { env = "KEY" }
private_key = { env = "KEY" }
redirect_uri = "http://evil.example/"
login_lifetime = "7d"

[providers.a.answer]
tokn = "x"

[[providers.a.errors]]
status = 400
means = "rejectd"

[providers.b]
kind = "oauth2"
grant = "client_credentials"
issuer = "https://login.example"
login_lifetime = "7d"
headers = { X = "{extra.idd}" }
answer = { extra = { ids = "x" } }
"""
    problems = refused(written(tmp_path, text))
    found = {(problem.line, problem.message) for problem in problems}
    lines = sorted(line or 0 for line, _ in found)
    assert lines == [3, 4, 7, 8, 12, 16, 18, 18, 22, 23], problems
    whole = "\n".join(str(problem) for problem in problems)
    for words in (
        'did you mean "client_credentials"', 'unknown key "tokn"', 'did you mean "token"', 'did you mean "rejected"',
        "client_secret and private_key", "neither loopback nor https", "login_lifetime: it goes with",
        'did you mean "extra.ids"', "client_id: it is missing", "needs what proves the client",
    ):  # fmt: skip
        assert words in whole, whole
    assert "obviously-fake" not in whole


def test_keys_may_stand_in_their_table_or_beside_it() -> None:
    """``encoding``, ``method`` and ``zero_means``."""
    made = settings(encoding="query", method="GET", answer={"zero_means": "never"})
    assert (made.request.encoding, made.request.method, made.zero_means) == ("query", "GET", "never")
    assert made == settings(request={"encoding": "query", "method": "GET"}, zero_means="never")
    assert faults_of(encoding="yaml").keys() == {"request.encoding"}


def test_another_server_or_client_is_another_account() -> None:
    """Another scope, secret or row is not; nor is the way in which a person began a login."""
    assert {"token_url", "issuer", "client_id", "grant", "claims"} == settings().account_fields
    login: dict[str, Any] = {
        "client_secret": None,
        "authorize_url": "https://login.example/a",
        "device_url": "https://login.example/d",
    }
    assert settings(grant="device_code", **login).account_fields == {"token_url", "issuer", "client_id"}
    by_resource = settings(grant="device_code", token_url=None, resource="https://r.example/", client_secret=None)
    assert "resource" in by_resource.account_fields
    exchange = settings(grant="token_exchange", subject_token=SecretSource(token="other"))
    assert "subject_token" in exchange.account_fields
    assert "subject_token" not in settings(grant="token_exchange", subject_token=env("API_KEY")).account_fields
    assert not settings().request_fields() & {"headers", "errors", "min_interval", "refresh_token", "zero_means"}


def test_claims_that_differ_in_their_json_are_other_claims() -> None:
    """1 and true are equal in Python."""
    assert settings(**SIGNING, claims={"a": 1}) != settings(**SIGNING, claims={"a": True})
    assert settings(**SIGNING, claims={"a": 1}) == settings(**SIGNING, claims={"a": 1})


@pytest.mark.parametrize("claims", [{"exp": 1}, {"iat": 1}, {"a": float("nan")}])
def test_claims_that_cannot_be_signed_are_refused(claims: dict[str, object]) -> None:
    """tokend adds the times."""
    assert "claims" in faults_of(**SIGNING, claims=claims)


def test_the_least_interval_is_a_setting() -> None:
    """One second without it, as for any kind."""
    assert settings().request_interval_seconds == 1
    assert settings(min_interval="20s").request_interval_seconds == 20
    assert settings().assertion_lifetime == timedelta(minutes=5)


def test_the_server_is_what_is_written_first() -> None:
    """It names the host of rate limits."""
    assert settings().server_url == ("token_url", "https://login.example/token")
    assert settings(issuer="https://i.example").upstream == "login.example:443"
    assert settings(token_url=None, issuer="https://i.example").upstream == "i.example:443"
    public = settings(token_url=None, resource="https://r.example", client_secret=None, grant="device_code")
    assert public.upstream == "r.example:443"


def test_warnings_are_about_what_is_not_hidden_and_what_is_not_there() -> None:
    """A text that looks like a secret is not quoted."""
    planted = "ghp_" + "a1B2" * 9
    made = settings(token_parameters={"x": planted}, request={"headers": {"X": planted}, "encoding": "query"})
    said = list(made.warnings({}))
    assert [one.partition(":")[0] for one in said] == [
        "token_parameters.x", "request.headers.X", 'request.encoding = "query"',
    ]  # fmt: skip
    assert planted not in str(said)
    slips = settings(answer={"token": "t[?ok == true]"}, errors=[{"when": 'a == "B"', "means": "rejected"}])
    assert [one.partition(":")[0] for one in slips.warnings({})] == ["answer.token", "errors.0.when"]
    named = settings(token_parameters={"password": "planted", "grant": "password"})
    assert [one.partition(":")[0] for one in named.warnings({})] == ["token_parameters.password"]
    first = settings(grant="refresh_token", refresh_token=env("API_KEY"))
    assert list(first.warnings({"refresh_token": Secret("x")})) == []
    assert "while there is no login" in next(first.warnings({}))
    assert list(settings(grant="refresh_token", refresh_token=SecretSource(command=("x",))).warnings({})) == []


def test_a_first_refresh_token_that_is_gone_is_no_error(tmp_path: Path) -> None:
    """The login is kept; the file may be deleted after its first use."""
    text = """\
[providers.a]
kind = "oauth2"
grant = "refresh_token"
token_url = "https://login.example/token"
client_id = "fake"
refresh_token = { file = "./gone" }
"""
    warned = [warning.message for warning in loaded(written(tmp_path, text)).warnings]
    assert any("refresh_token cannot be read" in one for one in warned), warned


def test_a_login_is_not_lost_with_the_memory_of_systemd(tmp_path: Path) -> None:
    """state = "fdstore" does not outlive a stop."""
    text = """\
[daemon]
state = "fdstore"

[providers.a]
kind = "oauth2"
grant = "device_code"
issuer = "https://login.example"
client_id = "fake"
"""
    assert any("login" in problem.message for problem in refused(written(tmp_path, text)))
    assert not settings().rotates
