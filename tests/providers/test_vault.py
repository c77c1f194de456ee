"""Kind ``vault``: three logins, tokens that live on up to their maximum, and the server's refusals."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from tests.providers.live import NOW, at, attempt, env
from tests.upstream.loopback import Behaviour, Loopback, reply
from tokend.plugin.secret_source import SecretSource
from tokend.providers.vault import POD_TOKEN, Vault
from tokend.values.errors import AttemptError, RateLimitedError, RejectedError, SecretError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token

HOUR = 3600.0
APPROLE: dict[str, Any] = {"auth_method": "approle", "role_id": env("USERNAME"), "secret_id": env("API_SECRET")}
OLD = "hvs.obviously-fake-old"


def said(status: int = 200, /, **body: Any) -> Behaviour:
    """Return a JSON reply."""
    return reply(json.dumps(body).encode(), status=status)


def auth(value: str = "hvs.obviously-fake-new", life: Any = 3600, **more: Any) -> Behaviour:
    """Return the reply of a login or of renew-self."""
    return said(data=None, auth={"client_token": value, "lease_duration": life, "renewable": True, **more})


def errors(status: int, *texts: Any) -> Behaviour:
    return said(status, errors=[*texts])


def log_in(*script: Behaviour, previous: Token | None = None, **keys: Any) -> tuple[Token | AttemptError, Loopback]:
    """Make one attempt."""
    return attempt(lambda url: Vault.model_validate({**(keys or APPROLE), "address": url}), *script, previous=previous)


def token_of(outcome: Token | AttemptError) -> Token:
    assert isinstance(outcome, Token), outcome
    return outcome


def held(life: float | None = HOUR, *, renewable: bool = True) -> Token:
    """Return a token that was issued half an hour ago."""
    ends = None if life is None else at(NOW - 1800 + life)
    headers = {"X-Vault-Token": Secret(OLD)}
    return Token(Secret(OLD), "Bearer", at(NOW - 1800), ends, headers, {"_renewable": renewable})


@pytest.mark.parametrize(
    ("keys", "path", "body"),
    [
        (APPROLE, "approle", {"role_id": "fake-user", "secret_id": "fake-api-secret"}),
        ({"auth_method": "approle", "role_id": env("USERNAME")}, "approle", {"role_id": "fake-user"}),
        ({"auth_method": "jwt", "jwt": env("API_KEY")}, "jwt", {"jwt": "fake-api-key"}),
        (
            {"auth_method": "jwt", "jwt": env("API_KEY"), "role": "bot", "mount": "/ci/git hub/"},
            "ci/git%20hub",
            {"role": "bot", "jwt": "fake-api-key"},
        ),
        (
            {"auth_method": "kubernetes", "jwt": env("API_KEY"), "role": "bot"},
            "kubernetes",
            {"role": "bot", "jwt": "fake-api-key"},
        ),
    ],
)
def test_each_method_has_its_login(keys: dict[str, Any], path: str, body: dict[str, str]) -> None:
    """The path is that of the mount; a role without a bound secret_id needs none."""
    outcome, loopback = log_in(auth(), **keys)
    (request,) = loopback.requests
    assert (request.method, request.target) == ("POST", f"/v1/auth/{path}/login")
    assert json.loads(request.body) == body
    assert request.headers["x-vault-request"] == "true"
    assert "x-vault-namespace" not in request.headers
    token = token_of(outcome)
    assert {name: value.reveal() for name, value in token.headers.items()} == {
        "X-Vault-Token": "hvs.obviously-fake-new"
    }
    assert (token.life_seconds, token.issued_at, token.is_extended) == (HOUR, at(NOW), False)


def test_a_namespace_is_sent_with_each_request_and_by_readers() -> None:
    """In a header of its own."""
    outcome, loopback = log_in(auth(), **APPROLE, namespace="team/one/")
    assert loopback.requests[0].headers["x-vault-namespace"] == "team/one"
    assert token_of(outcome).headers["X-Vault-Namespace"].reveal() == "team/one"


def test_a_life_of_zero_has_no_end() -> None:
    """So the server says it of root tokens."""
    assert token_of(log_in(auth(life=0))[0]).expires_at is None


@pytest.mark.parametrize("prefix", ["", "/gateway"])
def test_the_token_held_lives_on(prefix: str) -> None:
    """The same token, with the life that was asked for; no login."""
    outcome, loopback = attempt(
        lambda url: Vault(address=url + prefix, namespace="team", **APPROLE), auth(OLD), previous=held()
    )
    (request,) = loopback.requests
    assert request.target == f"{prefix}/v1/auth/token/renew-self"
    assert request.headers["x-vault-token"] == OLD
    assert request.headers["x-vault-namespace"] == "team"
    assert json.loads(request.body) == {"increment": "3600s"}
    token = token_of(outcome)
    assert (token.value, token.is_extended, token.expires_at) == (Secret(OLD), True, at(NOW + HOUR))
    assert token.extra["_renewable"] is True


@pytest.mark.parametrize(
    "first",
    [
        auth(OLD, 3598),  # near the maximum
        auth(OLD, 1),
        auth("hvs.obviously-fake-other"),
        auth(OLD, "soon"),
        auth(OLD, -1),
        said(auth=None),
        reply(b"[]"),
        reply(b"<html>"),
        errors(403, "permission denied"),
        errors(403, "permission denied", "invalid token"),
        errors(400, "lease is not renewable"),
        errors(404),
    ],
)
def test_at_its_maximum_or_when_it_is_refused_a_login_follows_at_once(first: Behaviour) -> None:
    """In the same attempt: the token held may end before the next one."""
    outcome, loopback = log_in(first, auth(), previous=held())
    assert [one.target for one in loopback.requests] == ["/v1/auth/token/renew-self", "/v1/auth/approle/login"]
    token = token_of(outcome)
    assert (token.value.reveal(), token.is_extended) == ("hvs.obviously-fake-new", False)


@pytest.mark.parametrize(
    ("previous", "keys"),
    [(held(renewable=False), {}), (Token(Secret(OLD), "Bearer", at(NOW), None), {}), (held(), {"max_age": "1h"})],
)
def test_a_token_that_cannot_live_on_is_replaced_without_a_try(previous: Token, keys: dict[str, str]) -> None:
    """Batch tokens, and every token where ``max_age`` wants another one."""
    _, loopback = log_in(auth(), previous=previous, **APPROLE, **keys)
    assert [one.target for one in loopback.requests] == ["/v1/auth/approle/login"]


def test_a_token_without_an_end_keeps_none() -> None:
    """A reader's report is what asks for it. With an end from now on, a login says what the role gives."""
    outcome, loopback = log_in(auth(OLD, 0), previous=held(None))
    assert json.loads(loopback.requests[0].body) == {}
    assert (token_of(outcome).is_extended, token_of(outcome).expires_at) == (True, None)
    assert not token_of(log_in(auth(OLD, 60), auth(), previous=held(None))[0]).is_extended
    assert token_of(log_in(auth(OLD, 0), previous=held())[0]).expires_at is None


def test_a_token_that_lives_on_for_the_last_time_is_replaced_next() -> None:
    """The server says so."""
    token = token_of(log_in(auth(OLD, renewable=False), previous=held())[0])
    assert (token.is_extended, token.extra["_renewable"]) == (True, False)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (errors(503, "Vault is sealed"), TransientError),
        (errors(472), TransientError),
        (errors(473), TransientError),
        (errors(412), TransientError),
        (errors(500, "internal error"), TransientError),
        (errors(429, "rate limit"), RateLimitedError),
    ],
)
def test_a_server_that_cannot_be_used_is_not_asked_twice(script: Behaviour, expected: type[AttemptError]) -> None:
    """Sealed, standby, overloaded: a login would fail as well. The same holds for a login."""
    for previous in (held(), None):
        outcome, loopback = log_in(script, auth(), previous=previous)
        assert isinstance(outcome, expected)
        assert len(loopback.requests) == 1


@pytest.mark.parametrize(
    ("script", "expected", "words"),
    [
        (errors(400, "invalid role or secret ID"), RejectedError, "invalid role or secret ID"),
        (errors(403, "permission denied"), RejectedError, "permission denied"),
        (errors(400, 5, 'role "x" could not be found', "fake-api-secret was sent"), RejectedError, "*** was sent"),
        (said(401, message="no"), RejectedError, "no"),
        (errors(400), TransientError, None),
        (errors(404, "no handler for route"), TransientError, "no handler for route"),
        (reply(b"<html>denied</html>", status=403), TransientError, None),
        (said(400, errors="text"), TransientError, None),
    ],
)
def test_a_refused_login_rejects_the_credentials(
    script: Behaviour, expected: type[AttemptError], words: str | None
) -> None:
    """The server's own 400 and 403; a proxy's is not about them. The words are for admins, without a secret."""
    outcome, _ = log_in(script)
    assert isinstance(outcome, expected)
    assert "invalid role" not in str(outcome)
    if words is None:
        assert outcome.said is None
    else:
        assert words in str(outcome.said)
        assert "fake-api-secret" not in str(outcome.said)


def test_a_second_factor_is_a_refusal() -> None:
    """No timer can give it."""
    outcome, _ = log_in(auth("", mfa_requirement={"mfa_request_id": "1"}))
    assert isinstance(outcome, RejectedError)
    assert "second factor" in str(outcome)


def test_a_secret_that_is_no_text_is_not_sent() -> None:
    """JSON has text only."""
    outcome, loopback = log_in(auth(), auth_method="approle", role_id=SecretSource(literal=Secret(b"\xff")))
    assert isinstance(outcome, SecretError)
    assert loopback.requests == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"auth_method": "approle"}, 'auth_method = "approle" needs role_id'),
        ({**APPROLE, "role": "x", "jwt": "y"}, 'auth_method = "approle" takes no jwt and no role'),
        ({"auth_method": "kubernetes"}, 'auth_method = "kubernetes" needs role'),
        ({"auth_method": "jwt", "role": "x"}, 'auth_method = "jwt" needs jwt'),
        ({"auth_method": "jwt", "jwt": "x", "secret_id": "y"}, 'auth_method = "jwt" takes no secret_id'),
        ({"auth_method": "userpass"}, "auth_method"),
        ({**APPROLE, "mount": "a//b"}, "write names with / between them"),
        ({**APPROLE, "mount": "../sys"}, "write names with / between them"),
        ({**APPROLE, "namespace": "a\nb"}, "write names with / between them"),
        ({**APPROLE, "namespace": "Büro"}, "a namespace is ASCII"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys: dict[str, Any], message: str) -> None:
    """Each method takes its own keys; a path leads nowhere else."""
    with pytest.raises(ValidationError) as error:
        Vault.model_validate({"address": "https://vault.example", **keys})
    assert message in str(error.value)


def test_a_pods_token_is_read_where_kubernetes_puts_it() -> None:
    """At each use: Kubernetes replaces it every hour."""
    made = Vault.model_validate({"address": "https://vault.example", "auth_method": "kubernetes", "role": "bot"})
    assert str(made.secrets()["jwt"].file) == POD_TOKEN


def test_what_changes_by_itself_is_no_other_account() -> None:
    """A new secret_id, or a service account's new token, belongs to the same role."""
    made = Vault.model_validate({"address": "https://vault.example", **APPROLE})
    assert made.account_fields == {"base_url", "namespace", "auth_method", "mount", "role", "role_id"}
    assert made.upstream == "vault.example:443"
