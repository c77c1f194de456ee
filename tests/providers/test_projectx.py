"""Kind ``projectx``: login, validation, initial token, and the vendor's error codes."""

import base64
import json
from typing import Any

import anyio
import pytest

from tests.providers.live import ENVIRON, NOW, LiveRuntime, at, attempt, env
from tests.upstream.loopback import Behaviour, Loopback, reply, reset
from tokend.plugin.secret_source import SecretSource
from tokend.providers.projectx import LOGIN_CODES, ProjectX
from tokend.values.errors import (
    AttemptError,
    RateLimitedError,
    RejectedError,
    RejectedTwiceError,
    SecretError,
    TransientError,
)
from tokend.values.secret import Secret
from tokend.values.tokens import Token

DAY = 86400.0
OLD = Token(Secret("fake-old"), "Bearer", at(NOW - 100), at(NOW + 3600))


def jwt(**claims: Any) -> str:
    """Return an unsigned JWT."""
    return "e30." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + ".fake"


def said(status: int = 200, /, **body: Any) -> Behaviour:
    """Return a JSON reply."""
    return reply(json.dumps(body).encode(), status=status, headers={"Content-Type": "text/plain"})


GOOD = said(token="fake-new", success=True, errorCode=0, errorMessage=None)


def log_in(*script: Behaviour, previous: Token | None = None, **settings: Any) -> tuple[Token | AttemptError, Loopback]:
    """Make one attempt with credentials."""
    return attempt(
        lambda url: ProjectX(base_url=url, username=env("USERNAME"), api_key=env("API_KEY"), **settings),
        *script,
        previous=previous,
    )


def token_of(outcome: Token | AttemptError) -> Token:
    """Return the token of a result that must be one."""
    assert isinstance(outcome, Token)
    return outcome


def test_the_login_is_the_documented_one() -> None:
    """Path, headers and body are exact. The documented reply has no lifetime: the vendor's 24 h apply."""
    outcome, loopback = log_in(GOOD)
    (request,) = loopback.requests
    assert request.target == "/api/Auth/loginKey"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept"] == "text/plain"
    assert request.body == b'{"userName":"fake-user","apiKey":"fake-api-key"}'
    token = token_of(outcome)
    assert token.headers["Authorization"].reveal() == "Bearer fake-new"
    assert token.token_type == "Bearer"
    assert token.issued_at == at(NOW)
    assert token.life_seconds == DAY


def test_the_life_is_in_minutes_and_the_jwt_may_end_it_earlier() -> None:
    """An expiresIn of 1440 is a day. The earlier of expiresIn and `exp` counts."""
    assert token_of(log_in(said(success=True, token="t", expiresIn=1440))[0]).life_seconds == DAY
    assert token_of(log_in(said(success=True, token="t", expiresIn="30"))[0]).life_seconds == 1800
    early = said(success=True, token=jwt(exp=NOW + 60, role=["a", "b"]), expiresIn=1440)
    assert token_of(log_in(early)[0]).life_seconds == pytest.approx(60)


def test_a_prefix_of_the_base_url_stays() -> None:
    """White labels and gateways have such prefixes."""
    _, loopback = attempt(
        lambda url: ProjectX(base_url=url + "/gateway/", username=env("USERNAME"), api_key=env("API_KEY")), GOOD
    )
    assert loopback.requests[0].target == "/gateway/api/Auth/loginKey"


@pytest.mark.parametrize("code", [*sorted(LOGIN_CODES.keys() - {8}), 42])
def test_an_error_code_is_a_refusal(code: int) -> None:
    """Every LoginErrorCode but 0 and 8 rejects the credentials.

    The error shows the code's documented name, not the vendor's message.
    """
    outcome, _ = log_in(said(token=None, success=False, errorCode=code, errorMessage="planted"))
    assert isinstance(outcome, RejectedError)
    assert LOGIN_CODES.get(code, "undocumented") in str(outcome)
    assert "planted" not in str(outcome)


@pytest.mark.parametrize(
    "body",
    [
        {"token": None, "success": False, "errorCode": 8},
        {"token": None, "success": False, "errorCode": 0},
        {"token": None, "success": False},
        {"token": "t", "success": "true", "errorCode": 0},
        {"token": "t", "errorCode": 0},
        {"success": False, "errorCode": "3"},
        {"success": False, "errorCode": True},
        {"success": True, "errorCode": 0},
    ],
    ids=str,
)
def test_what_is_neither_success_nor_refusal_is_transient(body: dict[str, Any]) -> None:
    """Code 8 is UnknownError. Status 200 alone is no success."""
    assert isinstance(log_in(said(**body))[0], TransientError)


def test_success_with_an_error_code_is_no_success() -> None:
    """success and errorCode must agree."""
    assert isinstance(log_in(said(success=True, errorCode=3, token="t"))[0], RejectedError)


def test_the_vendors_own_400_is_a_refusal() -> None:
    """The vendor's 400 has a ProblemDetails body; a proxy's has not."""
    problem = {
        "type": "…",
        "title": "One or more validation errors occurred.",
        "status": 400,
        "errors": {"apiKey": ["x"]},
    }
    assert isinstance(log_in(said(400, **problem))[0], RejectedError)
    assert isinstance(log_in(said(400, message="bad request"))[0], TransientError)


def validate(*script: Behaviour, previous: Token | None = OLD) -> tuple[Token | AttemptError, list[str]]:
    """Make one attempt with ``refresh = "validate"``."""
    outcome, loopback = log_in(*script, previous=previous, refresh="validate")
    return outcome, [request.target.removeprefix("/api/Auth/") for request in loopback.requests]


def test_a_validation_brings_a_new_token() -> None:
    """The request has a bearer and no body. A newToken that is not empty is used."""
    outcome, loopback = log_in(
        said(success=True, errorCode=0, errorMessage=None, newToken=jwt(exp=NOW + 500)),
        previous=OLD,
        refresh="validate",
    )
    (request,) = loopback.requests
    assert (request.method, request.target, request.body) == ("POST", "/api/Auth/validate", b"")
    assert request.headers["authorization"] == "Bearer fake-old"
    assert token_of(outcome).life_seconds == pytest.approx(500)


@pytest.mark.parametrize("new", [None, "", "fake-old"])
def test_without_a_new_token_the_old_one_keeps_its_expiry(new: str | None) -> None:
    """A success without newToken does not extend the expiry."""
    assert validate(said(success=True, errorCode=0, newToken=new)) == (OLD, ["validate"])


@pytest.mark.parametrize(
    "failure",
    [
        said(success=False, errorCode=3, newToken=None),
        said(401),
        said(403),
        said(500),
        reply(b"<html>"),
        said(success=True, errorCode=0, newToken=["x"]),
        said(success=True, errorCode=0, newToken=jwt(exp=NOW - 1)),
    ],
)
def test_a_failed_validation_falls_back_to_a_login(failure: Behaviour) -> None:
    """Validation has its own codes: ExpiredToken does not reject the credentials."""
    outcome, asked = validate(failure, GOOD)
    assert token_of(outcome).value == Secret("fake-new")
    assert asked == ["validate", "loginKey"]


NO = said(success=False, errorCode=3)


@pytest.mark.parametrize("validation", [said(success=False, errorCode=1, newToken=None), NO, said(401)])
@pytest.mark.parametrize("login", [NO, said(401)])
def test_a_login_that_is_refused_after_its_validation_was_is_final(validation: Behaviour, login: Behaviour) -> None:
    """docs/promises.md 24: revoked credentials cost two requests."""
    outcome, asked = validate(validation, login)
    assert type(outcome) is RejectedTwiceError
    assert str(outcome).endswith("the validation was refused, too")
    assert asked == ["validate", "loginKey"]


@pytest.mark.parametrize(
    "validation", [said(500), said(403), reply(b"<html>"), said(success=False, errorCode=4), said(success=False)]
)
def test_a_validation_that_decides_nothing_makes_no_refusal_final(validation: Behaviour) -> None:
    """Credentials that have brought a token get one more attempt. So they do where no validation was made."""
    assert type(validate(validation, NO)[0]) is RejectedError
    assert type(validate(NO, previous=None)[0]) is RejectedError
    assert type(log_in(NO, previous=OLD)[0]) is RejectedError


@pytest.mark.parametrize("seconds", [None, 60, -5])
def test_without_a_minute_left_a_login_is_made_at_once(seconds: float | None) -> None:
    """The extension would come too late."""
    previous = None if seconds is None else Token(Secret("old"), "Bearer", at(NOW - 100), at(NOW + seconds))
    outcome, asked = validate(GOOD, previous=previous)
    assert token_of(outcome).value == Secret("fake-new")
    assert asked == ["loginKey"]


def test_a_validation_with_a_retry_after_does_not_log_in() -> None:
    """docs/promises.md 4: a 429 must not be followed by another request."""
    outcome, asked = validate(said(429), GOOD)
    assert isinstance(outcome, RateLimitedError)
    assert asked == ["validate"]


def test_a_validation_that_nobody_answers_does_not_log_in() -> None:
    """P3: an attempt sends one request to a host that does not answer."""
    outcome, asked = validate(reset, GOOD)
    assert isinstance(outcome, TransientError)
    assert asked == ["validate"]


def initial(value: str | None, **settings: Any) -> Token | None:
    """Return the result of reading an initial token."""
    made = ProjectX(initial_token=env("JWT_TOKEN"), **settings)
    environ = ENVIRON if value is None else {**ENVIRON, "JWT_TOKEN": value}

    async def main() -> Token | None:
        return await made.initial(LiveRuntime(made, environ=environ))

    return anyio.run(main)


def test_an_initial_token_is_used_while_it_is_valid() -> None:
    """Its own `exp` counts; without `exp`, the vendor's lifetime."""
    value = jwt(exp=NOW + 500)
    token = initial(value)
    assert token is not None
    assert token.headers["Authorization"].reveal() == f"Bearer {value}"
    assert token.life_seconds == pytest.approx(500)
    opaque = initial("fake-opaque")
    assert opaque is not None
    assert opaque.life_seconds == DAY


@pytest.mark.parametrize("value", [None, ""])
def test_an_initial_token_that_is_absent_is_none(value: str | None) -> None:
    """The credentials are used instead."""
    assert initial(value) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (jwt(exp=NOW), "expired at 2023-11-14T22:13:20Z"),
        (jwt(exp=1), "expired at 1970-01-01T00:00:01Z"),
        (jwt(exp=-1e30), "has an end that cannot be right"),
        (jwt(exp=1e30), "has an end that cannot be right"),
        (f'"{jwt(exp=NOW + 500)}"', "stands in quotes, which must go"),
        ("'fake-opaque'", "stands in quotes, which must go"),
        (f"JWT_TOKEN={jwt(exp=NOW + 500)}", "is a line of a .env file: everything up to the = must go"),
        (f'JWT_TOKEN="{jwt(exp=NOW + 500)}"', "is a line of a .env file: everything up to the = must go"),
        (f"Bearer {jwt(exp=NOW + 500)}", "begins with Bearer, which must go"),
        ("fake opaque", "holds white space, which must go"),
        (" fake-opaque", "holds white space, which must go"),
        ("fake\ntoken", "holds white space, which must go"),  # the second line would be another header
        ("fäke", "cannot be sent in a header"),
    ],
)
def test_an_initial_token_that_cannot_be_one_is_refused_with_the_reason(value: str, reason: str) -> None:
    """A .env line brings quotes, a copy brings spaces; the reason is shown, the token is not."""
    with pytest.raises(SecretError) as caught:
        initial(value)
    assert caught.value.detail.startswith(f"initial_token {reason}")
    assert value not in caught.value.detail


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (jwt(exp=NOW - 1), "initial_token expired at 2023-11-14T22:13:19Z, and it cannot be renewed: "),
        ('"fake"', "initial_token stands in quotes, which must go, and it cannot be renewed: "),
        ("fake-opaque", "initial_token is over, and it cannot be renewed: "),  # it was held, and its life has ended
    ],
)
def test_without_credentials_a_token_that_is_over_is_a_matter_for_a_person(value: str, detail: str) -> None:
    """State `rejected`, exit code 4, no request: only another token or credentials help."""
    given = env("JWT_TOKEN")
    for made in (ProjectX(initial_token=given), ProjectX(initial_token=given, username=env("A"), api_key=env("B"))):

        async def fetch(made: ProjectX = made) -> Token:
            return await made.fetch(LiveRuntime(made, environ={"JWT_TOKEN": value}), None)

        with pytest.raises(RejectedError) as caught:
            anyio.run(fetch)
        assert caught.value.detail.startswith(detail)


def test_without_credentials_nothing_is_renewed() -> None:
    """The token is served until it ends, and the status has the reason."""
    outcome, loopback = attempt(lambda url: ProjectX(base_url=url, initial_token=env("JWT_TOKEN")), GOOD)
    assert isinstance(outcome, SecretError)
    assert "cannot be renewed" in str(outcome)
    assert loopback.requests == []
    made = ProjectX(initial_token=env("JWT_TOKEN"))
    assert not made.can_renew
    assert ProjectX(username=env("A"), api_key=env("B")).can_renew


def test_unset_credentials_beside_an_initial_token_are_no_credentials() -> None:
    """A bot may start with JWT_TOKEN alone."""
    outcome, loopback = attempt(
        lambda url: ProjectX(base_url=url, initial_token=env("JWT_TOKEN"), username=env("A"), api_key=env("B")), GOOD
    )
    assert isinstance(outcome, SecretError)
    assert "cannot be renewed" in str(outcome)
    assert "environment variable A" in str(outcome)
    assert loopback.requests == []
    made = ProjectX(initial_token=env("JWT_TOKEN"), username=env("A"), api_key=env("B"))
    assert made.optional_secrets() == {"initial_token", "username", "api_key"}
    assert ProjectX(initial_token=env("JWT_TOKEN")).optional_secrets() == frozenset()
    assert ProjectX(username=env("A"), api_key=env("B")).optional_secrets() == frozenset()


def test_an_initial_token_that_looks_wrong_is_warned_of() -> None:
    """The vendor's guide says that a token starts with eyJ. A usual mistake is the quotes of a .env line."""
    made = ProjectX(initial_token=env("JWT_TOKEN"), username=env("USERNAME"), api_key=env("API_KEY"))
    credentials = {"username": Secret("fake"), "api_key": Secret("fake")}
    assert made.warnings({**credentials, "initial_token": Secret("eyJfake")}) == ()
    assert made.warnings(credentials) == ()
    assert made.warnings({**credentials, "initial_token": Secret('"eyJfake"')}) == (
        "initial_token stands in quotes, which must go: it is not used",
    )
    assert len(made.warnings({"initial_token": Secret("fake")})) == 2
    (warning,) = made.warnings({"initial_token": Secret(jwt(exp=NOW))})
    assert warning.startswith(
        "username and api_key missing, and initial_token expired at 2023-11-14T22:13:20Z: there is"
    )


def test_unreadable_credentials_without_an_initial_token_speak_of_no_initial_token() -> None:
    """The secret that cannot be read has its own warning."""
    assert ProjectX(username=env("A"), api_key=env("B")).warnings({"username": Secret("fake")}) == ()
    made = ProjectX(initial_token=env("JWT_TOKEN"), username=env("A"), api_key=env("B"))
    assert made.warnings({"username": Secret("fake")}) == ()


@pytest.mark.parametrize("given", [{}, {"username": "u"}, {"api_key": "k"}, {"username": "u", "initial_token": "t"}])
def test_half_of_the_credentials_is_an_error(given: dict[str, str]) -> None:
    """The message names the missing key."""
    with pytest.raises(ValueError, match=r"missing (username|api_key)"):
        ProjectX.model_validate({key: {"env": value} for key, value in given.items()})


def test_the_vendors_limits_are_known() -> None:
    """The minimum lead is five minutes, and base_url and username identify the account."""
    assert ProjectX.minimum_lead_seconds == 300
    made = ProjectX(username=env("A"), api_key=env("B"))
    assert made.account_fields == {"base_url", "username"}
    assert (made.base_url, made.refresh, made.upstream) == (
        "https://api.topstepx.com",
        "login",
        "api.topstepx.com:443",
    )


def test_a_username_that_is_no_text_is_named() -> None:
    """A binary file as user name is a configuration error, not a bug."""
    outcome, loopback = attempt(
        lambda url: ProjectX(base_url=url, username=SecretSource(env="A", encoding="hex"), api_key=env("API_KEY")),
        GOOD,
        runtime={"environ": {"A": "fffe", "API_KEY": "fake"}},
    )
    assert isinstance(outcome, SecretError)
    assert "username" in str(outcome)
    assert loopback.requests == []
