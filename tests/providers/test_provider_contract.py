"""What every kind that asks an upstream promises, whatever the upstream does: one suite, every kind."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from tests.providers.live import ENVIRON, attempt, env
from tests.upstream.loopback import Behaviour, raw, reply, reset, silent, slow_loris
from tokend.kinds import PROVIDERS
from tokend.plugin.settings import HeldSettings, OnDemandSettings, ProviderSettings
from tokend.providers.auth_token import AuthToken
from tokend.providers.projectx import ProjectX
from tokend.providers.tt import TT
from tokend.values.errors import AttemptError, RateLimitedError, RejectedError, SecretError, TransientError
from tokend.values.tokens import Token

TOKEN = "obviously-fake-token-value"
LINK = "https://your-app.example/login/" + TOKEN


@dataclass(frozen=True)
class Kind:
    """One kind, a good reply of its upstream, where the reply says the token and the life, and a query."""

    make: Callable[..., ProviderSettings]
    good: Mapping[str, Any]
    token_at: tuple[str, ...]
    life_at: tuple[str, ...]
    life_seconds: float
    parameters: Mapping[str, str] | None = None
    secrets: tuple[str, ...] = field(default=())

    def answer(self, path: tuple[str, ...] = (), value: Any = None) -> bytes:
        """The good reply, with one place changed."""
        changed = json.loads(json.dumps(self.good))
        place = changed
        for key in path[:-1]:
            place = place[key]
        if path:
            place[path[-1]] = value
        return json.dumps(changed).encode()


KINDS = {
    "projectx": Kind(
        lambda url, **more: ProjectX(base_url=url, username=env("USERNAME"), api_key=env("API_KEY"), **more),
        {"token": TOKEN, "success": True, "errorCode": 0, "errorMessage": None, "expiresIn": 60},
        ("token",),
        ("expiresIn",),
        3600,
        secrets=(ENVIRON["API_KEY"],),
    ),
    "tt": Kind(
        lambda url, **more: TT(
            base_url=url,
            environment="uat",
            api_key=env("API_KEY"),
            api_secret=env("API_SECRET"),
            app_name="App",
            company_name="Company",
            **more,
        ),
        {"status": "Ok", "access_token": TOKEN, "token_type": "bearer", "seconds_until_expiry": 43200},
        ("access_token",),
        ("seconds_until_expiry",),
        43200,
        secrets=(ENVIRON["API_KEY"], ENVIRON["API_SECRET"]),
    ),
    "auth-token": Kind(
        lambda url, **more: AuthToken(base_url=url, client_secret=env("CLIENT_SECRET"), **more),
        {
            "status": "success",
            "message": "…",
            "data": {"token": TOKEN, "expiresIn": 300, "loginLink": LINK, "user": {"id": 123}, "isNewUser": True},
        },
        ("data", "token"),
        ("data", "expiresIn"),
        300,
        {"clientId": "C1", "username": "u", "displayName": "Ü", "ipAddress": "::1"},
        secrets=(ENVIRON["CLIENT_SECRET"],),
    ),
}
BUILTIN = PROVIDERS.all()
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


def error_of(kind: Kind, *script: Behaviour, **more: Any) -> AttemptError:
    """The error of one attempt: one request, and no secret and no body in anything that could be printed."""
    outcome, loopback = attempt(lambda url: kind.make(url, **more), *script, parameters=kind.parameters)
    assert isinstance(outcome, AttemptError)
    assert len(loopback.requests) <= 1
    for planted in (*kind.secrets, TOKEN, "planted"):
        assert planted not in str(outcome)
        assert planted not in repr(outcome)
    return outcome


def test_the_table_names_every_kind_as_it_names_itself() -> None:
    """One explicit table; each is held or on demand, and its JSON schema writes itself."""
    for name, kind in BUILTIN.items():
        assert kind.model_fields["kind"].default == name
        assert issubclass(kind, HeldSettings) != issubclass(kind, OnDemandSettings)
    assert set(KINDS) | {"jwt", "request-jwt"} == set(BUILTIN)


def test_every_account_field_exists() -> None:
    """A field that is named wrongly would never be noticed to change."""
    for kind in BUILTIN.values():
        if issubclass(kind, HeldSettings):
            assert kind.account_fields <= set(kind.model_fields)


@each_kind
def test_a_good_reply_is_a_token(kind: Kind) -> None:
    """Value, life and moment; nothing secret in its repr."""
    outcome, loopback = attempt(kind.make, reply(kind.answer()), parameters=kind.parameters)
    assert isinstance(outcome, Token)
    assert outcome.value.reveal() == TOKEN
    assert outcome.life_seconds == pytest.approx(kind.life_seconds)
    assert len(loopback.requests) == 1
    for planted in (*kind.secrets, TOKEN):
        assert planted not in repr(outcome)


@each_kind
def test_the_content_type_does_not_matter(kind: Kind) -> None:
    """ProjectX says text/plain."""
    outcome, _ = attempt(
        kind.make, reply(kind.answer(), headers={"Content-Type": "text/plain"}), parameters=kind.parameters
    )
    assert isinstance(outcome, Token)


@each_kind
def test_the_request_keeps_no_secret_in_its_line(kind: Kind) -> None:
    """Request lines end up in the logs of proxies and servers."""
    _, loopback = attempt(kind.make, reply(kind.answer()), parameters=kind.parameters)
    assert loopback.requests[0].method == "POST"
    assert not any(planted in loopback.requests[0].target for planted in kind.secrets)


@each_kind
@pytest.mark.parametrize(
    ("behaviour", "repeatable"),
    [
        (reply(b"planted", status=500), True),
        (reply(b'{"status":"Fail","success":false,"errorCode":3,"m":"planted"}', status=503), True),
        (reply(b"<html>planted</html>"), False),
        (reply(b"<html>planted</html>", status=400), False),
        (reply(b'{"message":"Forbidden"}', status=403), False),
        (reply(b'{"planted":1', status=200), False),
        (reply(b'{"planted":1}'), False),
        (reply(b"[]"), False),
        (reply(b"", status=204), False),
        (reply(b"", status=407), False),
        (reply(b"{}", status=307, headers={"Location": "https://planted.example/"}), False),
        (reply(b"{}", headers={"Content-Encoding": "gzip"}), False),
        (reply(b" " * 300_000), False),
        (reset, False),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"), False),
    ],
    ids=[
        "500", "503 with a verdict", "html", "400 html", "403", "truncated json", "other object", "list", "204", "407",
        "307", "gzip", "huge", "reset", "truncated",
    ],
)  # fmt: skip
def test_what_says_nothing_of_the_credentials_is_transient(kind: Kind, behaviour: Behaviour, repeatable: bool) -> None:
    """docs/promises.md 6 to 12, 21, 25: soft; an issue may repeat it only after a timeout or 5xx."""
    error = error_of(kind, behaviour)
    assert isinstance(error, TransientError)
    assert error.repeatable is repeatable


@each_kind
@pytest.mark.parametrize("behaviour", [silent, slow_loris], ids=["silent", "slow-loris"])
def test_a_timeout_is_transient_and_repeatable(kind: Kind, behaviour: Behaviour) -> None:
    """docs/promises.md 2 and 3: ``timeout`` is the whole exchange's."""
    error = error_of(kind, behaviour, timeout=timedelta(milliseconds=300))
    assert isinstance(error, TransientError)
    assert error.repeatable


@each_kind
def test_429_is_a_pause(kind: Kind) -> None:
    """docs/promises.md 4: whatever the body says."""
    for body in (b'{"message":"Too Many Requests"}', b'{"status":"Fail"}', b"planted"):
        error = error_of(kind, reply(body, status=429, headers={"Retry-After": "77"}))
        assert isinstance(error, RateLimitedError)
        assert error.retry_after == 77


@each_kind
def test_401_is_a_verdict(kind: Kind) -> None:
    """docs/promises.md 24."""
    assert isinstance(error_of(kind, reply(b'{"message":"planted"}', status=401)), RejectedError)


@each_kind
@pytest.mark.parametrize(
    "value", [None, "", " ", True, 17, [], {}, "planted\n", "plan\x1bted", "plänted", "\ud800"], ids=repr
)
def test_what_is_no_token_is_discarded(kind: Kind, value: Any) -> None:
    """docs/promises.md 13 and 20: never echoed."""
    assert isinstance(error_of(kind, reply(kind.answer(kind.token_at, value))), TransientError)


@each_kind
@pytest.mark.parametrize("value", [0, -1, "3600abc", True, [], {}, "", None, 10**9, 1e300, "NaN"], ids=repr)
def test_what_is_no_life_is_discarded(kind: Kind, value: Any) -> None:
    """docs/promises.md 13 to 17."""
    assert isinstance(error_of(kind, reply(kind.answer(kind.life_at, value))), TransientError)


@each_kind
@pytest.mark.parametrize("zero", [0, "0", 0.0], ids=repr)
def test_a_life_of_zero_may_mean_for_ever_if_the_settings_say_so(kind: Kind, zero: Any) -> None:
    """``zero_means = "never"``; otherwise it is expired, and discarded (docs/promises.md 15)."""
    good = reply(kind.answer(kind.life_at, zero))
    outcome, _ = attempt(lambda url: kind.make(url, zero_means="never"), good, parameters=kind.parameters)
    assert isinstance(outcome, Token)
    assert outcome.expires_at is None
    assert isinstance(error_of(kind, good), TransientError)
    negative = reply(kind.answer(kind.life_at, -1))
    assert isinstance(error_of(kind, negative, zero_means="never"), TransientError)


@each_kind
def test_a_life_may_be_a_string(kind: Kind) -> None:
    """docs/promises.md 14."""
    said: Any = kind.good
    for key in kind.life_at:
        said = said[key]
    outcome, _ = attempt(kind.make, reply(kind.answer(kind.life_at, str(said))), parameters=kind.parameters)
    assert isinstance(outcome, Token)
    assert outcome.life_seconds == pytest.approx(kind.life_seconds)


@each_kind
def test_an_absent_secret_causes_no_request(kind: Kind) -> None:
    """A secret that cannot be read is a configuration error."""
    outcome, loopback = attempt(
        kind.make, reply(kind.answer()), parameters=kind.parameters, runtime={"environ": {"PLANTED": "x"}}
    )
    assert isinstance(outcome, SecretError)
    assert loopback.requests == []


@each_kind
def test_a_url_in_clear_is_refused(kind: Kind) -> None:
    """https://, or http:// to loopback."""
    with pytest.raises(ValueError, match="https"):
        kind.make("http://example.com")


@each_kind
def test_equal_tables_are_equal_settings(kind: Kind) -> None:
    """Reload is ``==``."""
    assert kind.make("https://a.example") == kind.make("https://a.example/")
    assert kind.make("https://a.example") != kind.make("https://b.example")


@pytest.mark.parametrize("kind", BUILTIN.values(), ids=BUILTIN.keys())
def test_unknown_keys_are_refused(kind: type[ProviderSettings]) -> None:
    """A misspelt key is an error, not a default."""
    with pytest.raises(ValueError, match=r"extra_forbidden|Extra inputs"):
        TypeAdapter(kind).validate_python({"planted_key": 1})
