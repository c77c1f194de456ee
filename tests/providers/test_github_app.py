"""Kind ``github-app``: the JWT, the look-up of the installation, what a token may do, and GitHub's refusals."""

import base64
import json
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest
from pydantic import ValidationError

from tests.config.written import loaded, only, refused, written
from tests.providers.live import NOW, at, attempt, env
from tests.providers.private_keys import ec_pem, rsa_key, rsa_pem
from tests.upstream.loopback import Behaviour, Loopback, raw, reply, reset
from tokend.providers.github_app import GithubApp
from tokend.values.errors import (
    AttemptError,
    ClockError,
    RateLimitedError,
    RejectedError,
    SecretError,
    TransientError,
)
from tokend.values.secret import Secret
from tokend.values.tokens import Token

# As GitHub's newer ones: about 520 characters with two dots, and no JWT.
VALUE = "ghs_" + ".".join(["obviouslyfake" * 13] * 3)
APP: dict[str, Any] = {"client_id": "Iv1.fake", "private_key": env("PRIVATE_KEY"), "installation": 42}
BY_OWNER: dict[str, Any] = {"client_id": "Iv1.fake", "private_key": env("PRIVATE_KEY"), "owner": "acme"}
NOT_FOUND: dict[str, Any] = {"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}


def said(status: int = 201, /, headers: dict[str, str] | None = None, **body: Any) -> Behaviour:
    """Return a JSON reply."""
    return reply(json.dumps(body).encode(), status=status, headers=headers)


def granted(**more: Any) -> Behaviour:
    """Return the reply with a token of one hour."""
    return said(**{"token": VALUE, "expires_at": "2023-11-14T23:13:20Z", **more})


def ask(*script: Behaviour, previous: Token | None = None, **keys: Any) -> tuple[Token | AttemptError, Loopback]:
    """Make one attempt."""
    return attempt(
        lambda url: GithubApp.model_validate({**(keys or APP), "base_url": url + "/api/v3"}), *script, previous=previous
    )


def token_of(outcome: Token | AttemptError) -> Token:
    assert isinstance(outcome, Token), outcome
    return outcome


def dated(offset: float) -> dict[str, str]:
    """Return the ``Date`` of a server whose clock differs from ours."""
    return {"Date": format_datetime(datetime.fromtimestamp(NOW + offset, UTC), usegmt=True)}


def held(**extra: Any) -> Token:
    return Token(Secret("ghs_fake-old"), "Bearer", at(NOW - 60), at(NOW + 60), {}, extra)


def test_the_jwt_is_what_github_asks_for() -> None:
    """RS256, issued a minute ago against a clock that is ahead, valid for ten minutes: read with PyJWT."""
    outcome, loopback = ask(granted())
    (request,) = loopback.requests
    assert (request.method, request.target) == ("POST", "/api/v3/app/installations/42/access_tokens")
    assert request.headers["accept"] == "application/vnd.github+json"
    assert "user-agent" in request.headers
    assert json.loads(request.body) == {}
    scheme, _, value = request.headers["authorization"].partition(" ")
    assert scheme == "Bearer"
    claims = pyjwt.decode(
        value, rsa_key().public_key(), algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False}
    )
    assert claims == {"iat": NOW - 60, "exp": NOW + 540, "iss": "Iv1.fake"}
    token = token_of(outcome)
    assert token.value.reveal() == VALUE
    assert token.headers["Authorization"].reveal() == f"Bearer {VALUE}"
    assert (token.issued_at, token.expires_at) == (at(NOW), at(NOW + 3600))


@pytest.mark.parametrize(
    "form",
    [
        rsa_pem(),
        rsa_pem().replace("\n", "\\n"),
        base64.b64encode(rsa_pem().encode()).decode(),
        base64.b64encode(base64.b64decode("".join(rsa_pem().splitlines()[1:-1]))).decode(),
    ],
    ids=["pem", "pem in one line", "base64 of pem", "base64 of der"],
)
def test_a_private_key_comes_in_the_forms_of_kind_jwt(form: str) -> None:
    """Environment variables and CI systems hold it in one line."""
    made = GithubApp.model_validate({**APP, "private_key": form})
    assert made.unusable_secrets({"private_key": Secret(form)}) == {}
    outcome, _ = attempt(lambda url: made.model_copy(update={"base_url": url}), granted())
    assert isinstance(outcome, Token)


def test_permissions_and_repositories_are_asked_for_and_shown() -> None:
    """As the API writes them. The token's extra says what was granted; descriptions of repositories are left out."""
    answer = granted(
        permissions={"contents": "read", "odd": 5}, repository_selection="selected",
        repositories=[{"id": 1, "full_name": "acme/app", "private": True}, {"full_name": 5}, "odd"],
    )  # fmt: skip
    keys = {**APP, "permissions": {"contents": "read"}, "repositories": ["app"]}
    outcome, loopback = ask(answer, **keys)
    assert json.loads(loopback.requests[0].body) == {"permissions": {"contents": "read"}, "repositories": ["app"]}
    assert token_of(outcome).extra == {
        "installation": "42", "permissions": {"contents": "read"}, "repository_selection": "selected",
        "repositories": ["acme/app"],
    }  # fmt: skip


def test_the_answer_may_describe_each_repository_that_was_named() -> None:
    """GitHub writes some 6 KB about each: 100 of them are more than the usual limit, and a body without end is not."""
    names = [f"app{number}" for number in range(100)]
    described = [{"full_name": f"acme/{name}", "description": "x" * 6000} for name in names]
    outcome, _ = ask(granted(repositories=described), **APP, repositories=names)
    assert len(token_of(outcome).extra["repositories"]) == 100  # type: ignore[arg-type]
    for keys in (APP, {**APP, "repositories": ["app"]}):
        outcome, _ = ask(granted(repositories=described), **keys)
        assert isinstance(outcome, TransientError)
        assert "KiB" in str(outcome)


@pytest.mark.parametrize("is_user", [False, True])
def test_an_owner_is_looked_up(is_user: bool) -> None:
    """As an organisation, then as a user. The number is remembered with the token: the next refresh is one request."""
    found = said(200, id=77, account={"login": "acme"})
    script = [said(404, **NOT_FOUND), found] if is_user else [found]
    outcome, loopback = ask(*script, granted(), **BY_OWNER)
    targets = [f"{one.method} {one.target.removeprefix('/api/v3')}" for one in loopback.requests]
    lookups = ["GET /orgs/acme/installation", "GET /users/acme/installation"][: 1 + is_user]
    assert targets == [*lookups, "POST /app/installations/77/access_tokens"]
    assert len({one.headers["authorization"] for one in loopback.requests}) == 1
    _, again = ask(granted(), previous=token_of(outcome), **BY_OWNER)
    assert [one.target for one in again.requests] == ["/api/v3/app/installations/77/access_tokens"]


def test_an_installation_that_was_made_anew_is_looked_up_again() -> None:
    """In the same attempt, where its remembered number is unknown now. A number that is no number is not used."""
    outcome, loopback = ask(
        said(404, **NOT_FOUND), said(200, id=78), granted(), previous=held(installation="77"), **BY_OWNER
    )
    assert token_of(outcome).extra["installation"] == "78"
    assert [one.method for one in loopback.requests] == ["POST", "GET", "POST"]
    for odd in ({}, {"installation": "7/../8"}, {"installation": True}, {"installation": [7]}):
        _, loopback = ask(said(200, id=78), granted(), previous=held(**odd), **BY_OWNER)
        assert loopback.requests[0].method == "GET"


@pytest.mark.parametrize("number", [None, True, 0, -1, "x", [], 7.5])
def test_a_look_up_without_a_number_is_discarded(number: Any) -> None:
    """No request is made of it."""
    outcome, loopback = ask(said(200, id=number), **BY_OWNER)
    assert isinstance(outcome, TransientError)
    assert len(loopback.requests) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        reply(b"planted", status=500), reply(b"<html>planted</html>"),
        reply(b"[]"), reply(b'{"id":7,"id":8}'), reply(b'{"id":NaN}'), reply(b'{"id":7'), reply(b"", status=204),
        reply(b"", status=407), reply(b"{}", status=307, headers={"Location": "https://planted.example/"}),
        reply(b'{"id":7}', headers={"Content-Encoding": "gzip"}), reply(b" " * 300_000), reset,
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"),
    ],
)  # fmt: skip
def test_a_look_up_that_goes_wrong_decides_nothing(behaviour: Behaviour) -> None:
    """docs/promises.md 1 to 12, 21, 25: one request, transient, and the answer is not quoted."""
    outcome, loopback = ask(behaviour, **BY_OWNER)
    assert isinstance(outcome, TransientError)
    assert "planted" not in str(outcome)
    assert len(loopback.requests) == 1


@pytest.mark.parametrize("body", [b"", b"<html>planted</html>"])
def test_a_404_of_a_proxy_is_no_refusal(body: bytes) -> None:
    """Both places are asked, as after GitHub's own 404; without one of GitHub's own nothing is decided."""
    missing = reply(body, status=404)
    outcome, loopback = ask(missing, **BY_OWNER)
    assert isinstance(outcome, TransientError)
    assert "planted" not in str(outcome)
    assert len(loopback.requests) == 2
    outcome, _ = ask(missing, said(200, id=7), granted(), **BY_OWNER)
    assert isinstance(outcome, Token)


def test_an_app_that_is_not_installed_there_is_a_refusal() -> None:
    """The message says who is missing where."""
    outcome, loopback = ask(said(404, **NOT_FOUND), **BY_OWNER)
    assert isinstance(outcome, RejectedError)
    assert "the App Iv1.fake is not installed at acme" in str(outcome)
    assert outcome.said == "Not Found"
    assert len(loopback.requests) == 2
    outcome, _ = ask(said(404, **NOT_FOUND))
    assert isinstance(outcome, RejectedError)
    assert "this App has no installation 42" in str(outcome)


@pytest.mark.parametrize("keys", [APP, BY_OWNER])
@pytest.mark.parametrize("offset", [-300.0, -70.0, 70.0, 700.0])
def test_a_refused_jwt_may_be_the_clocks_fault(keys: dict[str, Any], offset: float) -> None:
    """Where ``Date`` is measurably off; the message says so, and GitHub's own words stand beside it."""
    words = "'Expiration time' claim ('exp') is too far in the future"
    outcome, loopback = ask(said(401, dated(offset), message=words), **keys)
    assert isinstance(outcome, ClockError)
    assert outcome.offset == pytest.approx(offset, abs=1)
    assert outcome.said == words
    assert len(loopback.requests) == 1
    outcome, _ = ask(said(401, dated(0), message="Integration not found"), **keys)
    assert isinstance(outcome, RejectedError)


def test_after_a_wrong_clock_the_jwt_is_signed_by_githubs() -> None:
    """The second attempt of the same runtime has times that GitHub accepts; refused again, it is the credentials."""
    import anyio

    from tests.providers.live import LiveRuntime
    from tests.upstream.loopback import serving

    async def main() -> None:
        refusal = said(401, dated(-300), message="'Issued at' claim ('iat') must be an Integer")
        async with serving(refusal, refusal) as loopback:
            made = GithubApp.model_validate({**APP, "base_url": loopback.url})
            runtime = LiveRuntime(made)
            with pytest.raises(ClockError):
                await made.fetch(runtime, None)
            with pytest.raises(RejectedError):
                await made.fetch(runtime, None)
            value = loopback.requests[1].headers["authorization"].removeprefix("Bearer ")
            claims = pyjwt.decode(value, options={"verify_signature": False})
            assert claims["iat"] == pytest.approx(NOW - 360, abs=1)

    anyio.run(main)


RESET = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW + 900)}


@pytest.mark.parametrize(
    ("status", "headers", "message", "pause"),
    [
        (403, RESET, "API rate limit exceeded for installation ID 42.", 900),
        (429, RESET, "API rate limit exceeded", 900),
        (403, {**RESET, **dated(-100)}, "API rate limit exceeded", 1000),
        (403, {**RESET, "Retry-After": "30"}, "API rate limit exceeded", 30),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon"}, "API rate limit exceeded", 60),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW + 10**6)}, "", 3600),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, "", 5),
        (403, {"Retry-After": "77"}, "You have exceeded a secondary rate limit.", 77),
        (403, {}, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.", 60),
        (403, {}, "You have triggered an abuse detection mechanism.", 60),
        (429, {}, "Too many", None),
    ],
)
@pytest.mark.parametrize("keys", [APP, BY_OWNER])
def test_a_rate_limit_says_its_pause(
    keys: dict[str, Any], status: int, headers: dict[str, str], message: str, pause: float | None
) -> None:
    """A 403 as well as a 429; the end of the limit is a moment of GitHub's clock."""
    outcome, _ = ask(said(status, headers, message=message), **keys)
    assert isinstance(outcome, RateLimitedError)
    assert outcome.retry_after == (None if pause is None else pytest.approx(pause, abs=1))


@pytest.mark.parametrize(
    ("script", "expected", "text"),
    [
        (said(403, message="This installation has been suspended"), RejectedError, "the installation is suspended"),
        (said(403, message="Resource not accessible by integration"), TransientError, "answered 403"),
        (said(403, {"X-RateLimit-Remaining": "4999"}, message="IP allow list"), TransientError, "answered 403"),
        (said(422, message="The permissions requested are not granted"), RejectedError, "(permissions, repositories)"),
        (reply(b"<html>", status=422), TransientError, "answered 422"),
        (reply(b"<html>", status=404), TransientError, "answered 404"),
        (reply(b"<html>", status=403), TransientError, "answered 403"),
        (said(301, {"Location": "https://planted.example"}, message="Moved"), TransientError, "redirects are refused"),
        (said(503, message="Service Unavailable"), TransientError, "answered 503"),
        (said(201, message="odd"), TransientError, "without a token"),
    ],
)
def test_each_refusal_says_what_happens_next(script: Behaviour, expected: type[AttemptError], text: str) -> None:
    """GitHub's own answers are JSON; a proxy's are not about the App."""
    outcome, loopback = ask(script)
    assert type(outcome) is expected
    assert text in str(outcome)
    assert len(loopback.requests) == 1


def test_words_never_hold_the_jwt_or_the_key() -> None:
    """A server may echo what it was sent."""

    async def echo(conversation: Any) -> None:
        sent = conversation.request.headers["authorization"]
        await said(401, message=f"bad: {sent} {rsa_pem()[:1000]}")(conversation)

    outcome, loopback = ask(echo)
    assert isinstance(outcome, RejectedError)
    assert loopback.requests[0].headers["authorization"].removeprefix("Bearer ") not in str(outcome.said)
    assert str(outcome.said).startswith("bad: Bearer ***")


def test_a_key_that_does_not_fit_causes_no_request() -> None:
    """The error names the key's place."""
    outcome, loopback = attempt(
        lambda url: GithubApp.model_validate({**APP, "base_url": url}), granted(),
        runtime={"environ": {"PRIVATE_KEY": ec_pem()}},
    )  # fmt: skip
    assert isinstance(outcome, SecretError)
    assert str(outcome) == "private_key: environment variable PRIVATE_KEY: the key does not fit RS256"
    assert loopback.requests == []


@pytest.mark.parametrize("wrong", [ec_pem(), "planted", rsa_pem()[:200]])
def test_a_wrong_key_is_an_error_of_a_check_with_its_place(tmp_path: Path, wrong: str) -> None:
    """Before the first request, and without the key. A start goes on."""
    written(tmp_path, wrong, name="app.pem")
    table = '[providers.github]\nkind = "github-app"\nclient_id = 7\ninstallation = "42"\n'
    path = written(tmp_path, table + 'private_key = { file = "./app.pem" }\n')
    problem = only(refused(path))
    assert problem.message.startswith(f"private_key: file {tmp_path}/app.pem: the key")
    assert problem.line == 5
    assert "planted" not in str(problem)
    [warning] = loaded(path, starting=True).warnings
    assert warning.code == "secret_unusable"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"installation": None},
            "either installation (a number) or owner (an account's name) is needed: found neither",
        ),
        ({"owner": "acme"}, "is needed: found both"),
        ({"installation": 0}, "it is the number at the end of the address"),
        ({"installation": True}, "installation"),
        ({"installation": "7/../8"}, "it is the number at the end of the address"),
        ({"installation": None, "owner": "https://github.com/acme"}, "it is the name of a user or an organisation"),
        ({"installation": None, "owner": "../admin"}, "it is the name of a user or an organisation"),
        ({"client_id": "a b"}, "it is the client ID of the App's settings page"),
        ({"client_id": ""}, "it is the client ID of the App's settings page"),
        ({"permissions": {"contents": "all"}}, "permissions"),
        ({"permissions": {"Pull Requests": "read"}}, "a permission is written as in the API"),
        ({"repositories": ["acme/app"]}, "each without its owner"),
        ({"repositories": [".."]}, "each without its owner"),
        ({"repositories": [f"a{number}" for number in range(501)]}, "at most 500 repositories"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys: dict[str, Any], message: str) -> None:
    """With the place on GitHub's pages where the value is."""
    with pytest.raises(ValidationError) as error:
        GithubApp.model_validate({**APP, **keys})
    assert message in str(error.value)


def test_an_owner_is_no_user_of_this_machine(tmp_path: Path) -> None:
    """As that of a file would be: no warning."""
    table = '[providers.github]\nkind = "github-app"\nclient_id = "a"\nowner = "nosuchuser"\n'
    path = written(tmp_path, table + 'private_key = { env = "PRIVATE_KEY" }\n')
    assert loaded(path, environ={"PRIVATE_KEY": rsa_pem()}).warnings == ()


def test_a_new_key_and_other_permissions_are_no_other_account() -> None:
    """The token held stays until the next one is there."""
    made = GithubApp.model_validate(APP)
    assert made.account_fields == {"base_url", "client_id", "installation", "owner"}
    assert {"private_key", "permissions", "repositories"} <= made.request_fields()
    assert made.upstream == "api.github.com:443"
    assert GithubApp.model_validate({**APP, "installation": "42"}) == made
