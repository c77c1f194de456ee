"""Contract suite: every kind with an upstream, against every behaviour of an upstream."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from tests.providers.live import ENVIRON, NOW, at, attempt, env
from tests.upstream.loopback import Behaviour, raw, reply, reset, silent, slow_loris
from tokend.kinds import PROVIDERS
from tokend.plugin.bearer_reply import bearer_token, reply_object
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.plugin.provider import Runtime
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import HeldSettings, NetworkSettings, OnDemandSettings, ProviderSettings
from tokend.plugin.token_expiry import MISSING
from tokend.providers.auth_token import AuthToken
from tokend.providers.github_app import GithubApp
from tokend.providers.google_service_account import GoogleServiceAccount
from tokend.providers.http.kind import Http
from tokend.providers.http.on_demand import HttpOnDemand
from tokend.providers.oauth2.kind import OAuth2
from tokend.providers.projectx import ProjectX
from tokend.providers.tt import TT
from tokend.providers.vault import Vault
from tokend.values.errors import AttemptError, RateLimitedError, RejectedError, SecretError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token
from tokend.values.url import host_of

TOKEN = "obviously-fake-token-value"
OLD = "obviously-fake-older-token"
LINK = "https://your-app.example/login/" + TOKEN


@dataclass(frozen=True)
class Kind:
    """One kind, a good reply of its upstream, the places of token and lifetime in this reply, and a query."""

    make: Callable[..., ProviderSettings]
    good: Mapping[str, Any]
    token_at: tuple[str, ...]
    life_at: tuple[str, ...]
    life_seconds: float
    parameters: Mapping[str, str] | None = None
    secrets: tuple[str, ...] = field(default=())
    # OAuth 2: null means absent, and a token endpoint's URL may have a query (RFC 6749, 3.2).
    is_oauth: bool = False
    # A declared request, whose URL may have a query.
    is_declared: bool = False
    # False for an upstream that names the end and no life: a 0 is a moment that is over.
    zero_may_mean_never: bool = True
    # The token held, for a kind that renews it first: a refusal is followed by the full request.
    previous: Token | None = None

    def answer(self, path: tuple[str, ...] = (), value: Any = None) -> bytes:
        """Return the good reply with one value changed."""
        changed = json.loads(json.dumps(self.good))
        place = changed
        for key in path[:-1]:
            place = place[key]
        if path:
            place[path[-1]] = value
        return json.dumps(changed).encode()


class Least(HeldSettings, NetworkSettings):
    """A network kind that declares only its path and its secret: it inherits all safety."""

    key: SecretField

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:
        """Make one attempt."""
        key = await runtime.reveal(self.key)
        request = UpstreamRequest("POST", f"{self.base_url}/token", {"X-Api-Key": key})
        reply, host = await runtime.exchange(request), host_of(self.base_url)
        answer = reply_object(reply, host)
        return bearer_token(
            reply, answer.get("token"), host=host, expires_in=answer.get("life", MISSING), zero_means=self.zero_means
        )


def declared(url: str, model: type[Http] | type[HttpOnDemand] = Http, **more: Any) -> Http | HttpOnDemand:
    """Return settings of a kind whose request is a table."""
    table = {
        "secrets": {"key": env("API_SECRET")},
        "request": {"method": "POST", "url": f"{url.rstrip('/')}/session", "json": {"key": "{key}"}},
        "answer": {
            "token": "data.t",
            "expires_in": "data.life",
            "zero_means": more.pop("zero_means", "expired"),
        },
    }
    return model.model_validate({**table, **more})


KINDS = {
    "least": Kind(
        lambda url, **more: Least(kind="least", base_url=url, key=env("API_KEY"), **more),
        {"token": TOKEN, "life": 60},
        ("token",),
        ("life",),
        60,
        secrets=(ENVIRON["API_KEY"],),
    ),
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
    "vault": Kind(
        lambda url, **more: Vault(
            address=url, auth_method="approle", role_id=env("USERNAME"), secret_id=env("API_SECRET"), **more
        ),
        {"data": None, "auth": {"client_token": TOKEN, "lease_duration": 3600, "renewable": True}},
        ("auth", "client_token"),
        ("auth", "lease_duration"),
        3600,
        secrets=(ENVIRON["API_SECRET"],),
    ),
    "oauth2": Kind(
        lambda url, **more: OAuth2(
            token_url=url.rstrip("/"),
            grant="client_credentials",
            client_id="fake-client",
            client_secret=env("CLIENT_SECRET"),
            **more,
        ),
        {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600},
        ("access_token",),
        ("expires_in",),
        3600,
        secrets=(ENVIRON["CLIENT_SECRET"],),
        is_oauth=True,
    ),
    "oauth2-declared": Kind(
        lambda url, **more: OAuth2.model_validate(
            {
                "token_url": url.rstrip("/"),
                "grant": "token_exchange",
                "subject_token": env("API_SECRET"),
                "answer": {"token": "data.t", "expires_in": "data.life", "extra": {"who": "data.who"}},
                "headers": {"X-Who": "{extra.who}"},
                "request": {"encoding": "json"},
                **more,
            }
        ),
        {"data": {"t": TOKEN, "life": 3600, "who": "ann"}},
        ("data", "t"),
        ("data", "life"),
        3600,
        secrets=(ENVIRON["API_SECRET"],),
        is_oauth=True,
    ),
    "http": Kind(
        lambda url, **more: declared(url, **more),
        {"data": {"t": TOKEN, "life": 3600}},
        ("data", "t"),
        ("data", "life"),
        3600,
        secrets=(ENVIRON["API_SECRET"],),
        is_declared=True,
    ),
    "http-renew": Kind(
        lambda url, **more: declared(
            url,
            renew={
                "method": "POST",
                "url": f"{url.rstrip('/')}/renew",
                "headers": {"Authorization": "Bearer {token}", "X-Key": "{key}"},
            },
            **more,
        ),
        {"data": {"t": TOKEN, "life": 3600}},
        ("data", "t"),
        ("data", "life"),
        3600,
        secrets=(ENVIRON["API_SECRET"], OLD),
        is_declared=True,
        previous=Token(Secret(OLD), "Bearer", at(NOW - 60), at(NOW + 60)),
    ),
    "http-on-demand": Kind(
        lambda url, **more: declared(url, HttpOnDemand, parameters={"user": {}}, **more),
        {"data": {"t": TOKEN, "life": 3600}},
        ("data", "t"),
        ("data", "life"),
        3600,
        secrets=(ENVIRON["API_SECRET"],),
        parameters={"user": "ann"},
        is_declared=True,
    ),
    "github-app": Kind(
        lambda url, **more: GithubApp(
            base_url=url, client_id="Iv1.fake", private_key=env("PRIVATE_KEY"), installation="7", **more
        ),
        {"token": TOKEN, "expires_at": "2023-11-14T23:13:20Z", "permissions": {"contents": "read"}},
        ("token",),
        ("expires_at",),
        3600,
        secrets=(ENVIRON["PRIVATE_KEY"],),
        zero_may_mean_never=False,
    ),
    "google-service-account": Kind(
        lambda url, **more: GoogleServiceAccount(base_url=url, key=env("JSON_KEY"), scope=("email",), **more),
        {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"},
        ("access_token",),
        ("expires_in",),
        3600,
        secrets=(ENVIRON["JSON_KEY"],),
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
    """Return the error of one attempt.

    Check that there was at most one request, or two with ``renew``, and that no printable form has a secret or the
    body.
    """
    outcome, loopback = attempt(
        lambda url: kind.make(url, **more), *script, parameters=kind.parameters, previous=kind.previous
    )
    assert isinstance(outcome, AttemptError)
    assert len(loopback.requests) <= (1 if kind.previous is None else 2)
    for planted in (*kind.secrets, TOKEN, "planted"):
        assert planted not in str(outcome)
        assert planted not in repr(outcome)
    return outcome


def test_the_table_names_every_kind_as_it_names_itself() -> None:
    """Each kind is held or on demand, and has a JSON schema."""
    for name, kind in BUILTIN.items():
        assert kind.model_fields["kind"].default == name
        assert issubclass(kind, HeldSettings) != issubclass(kind, OnDemandSettings)
    networked = {name for name, kind in BUILTIN.items() if issubclass(kind, NetworkSettings)}
    for name in networked - set(KINDS):
        pytest.fail(f'kind "{name}" asks an upstream: add it to KINDS, with a good reply of its upstream')


@each_kind
def test_a_good_reply_is_a_token(kind: Kind) -> None:
    """The token has value, lifetime and moment. Its repr contains no secret."""
    outcome, loopback = attempt(kind.make, reply(kind.answer()), parameters=kind.parameters, previous=kind.previous)
    assert isinstance(outcome, Token)
    assert outcome.value.reveal() == TOKEN
    assert outcome.life_seconds == pytest.approx(kind.life_seconds)
    assert len(loopback.requests) == 1
    for planted in (*kind.secrets, TOKEN):
        assert planted not in repr(outcome)


@each_kind
def test_the_content_type_does_not_matter(kind: Kind) -> None:
    """ProjectX sends text/plain."""
    outcome, _ = attempt(
        kind.make,
        reply(kind.answer(), headers={"Content-Type": "text/plain"}),
        parameters=kind.parameters,
        previous=kind.previous,
    )
    assert isinstance(outcome, Token)


@each_kind
def test_the_request_keeps_no_secret_in_its_line(kind: Kind) -> None:
    """Proxies and servers log request lines."""
    _, loopback = attempt(kind.make, reply(kind.answer()), parameters=kind.parameters, previous=kind.previous)
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
        "500", "503 with a refusal", "html", "400 html", "403", "truncated json", "other object", "list", "204", "407",
        "307", "gzip", "huge", "reset", "truncated",
    ],
)  # fmt: skip
def test_what_says_nothing_of_the_credentials_is_transient(kind: Kind, behaviour: Behaviour, repeatable: bool) -> None:
    """docs/promises.md 6 to 12, 21, 25: transient. An issue may be repeated only after a timeout or a 5xx."""
    error = error_of(kind, behaviour)
    assert isinstance(error, TransientError)
    assert error.repeatable is repeatable


@each_kind
@pytest.mark.parametrize("behaviour", [silent, slow_loris], ids=["silent", "slow-loris"])
def test_a_timeout_is_transient_and_repeatable(kind: Kind, behaviour: Behaviour) -> None:
    """docs/promises.md 2 and 3: ``timeout`` limits the whole exchange."""
    error = error_of(kind, behaviour, timeout=timedelta(milliseconds=300))
    assert isinstance(error, TransientError)
    assert error.repeatable


@each_kind
def test_429_is_a_pause(kind: Kind) -> None:
    """docs/promises.md 4: the body does not matter."""
    for body in (b'{"message":"Too Many Requests"}', b'{"status":"Fail"}', b"planted"):
        error = error_of(kind, reply(body, status=429, headers={"Retry-After": "77"}))
        assert isinstance(error, RateLimitedError)
        assert error.retry_after == 77


@each_kind
def test_401_is_a_refusal(kind: Kind) -> None:
    """docs/promises.md 24."""
    assert isinstance(error_of(kind, reply(b'{"message":"planted"}', status=401)), RejectedError)


@each_kind
@pytest.mark.parametrize(
    "value", [None, "", " ", True, 17, [], {}, "planted\n", "plan\x1bted", "plänted", "\ud800"], ids=repr
)
def test_what_is_no_token_is_discarded(kind: Kind, value: Any) -> None:
    """docs/promises.md 13 and 20: the error does not quote the value."""
    assert isinstance(error_of(kind, reply(kind.answer(kind.token_at, value))), TransientError)


@each_kind
@pytest.mark.parametrize("value", [0, -1, "3600abc", True, [], {}, "", None, 10**9, 1e300, "NaN"], ids=repr)
def test_what_is_no_life_is_discarded(kind: Kind, value: Any) -> None:
    """docs/promises.md 13 to 17."""
    if value is None and kind.is_oauth:
        return
    error = error_of(kind, reply(kind.answer(kind.life_at, value)), zero_means="expired")
    assert isinstance(error, TransientError)


@each_kind
@pytest.mark.parametrize("zero", [0, "0", 0.0], ids=repr)
def test_a_life_of_zero_may_mean_for_ever_if_the_settings_say_so(kind: Kind, zero: Any) -> None:
    """Without ``zero_means = "never"`` the token counts as expired and is discarded (docs/promises.md 15)."""
    good = reply(kind.answer(kind.life_at, zero))
    outcome, _ = attempt(
        lambda url: kind.make(url, zero_means="never"), good, parameters=kind.parameters, previous=kind.previous
    )
    if kind.zero_may_mean_never:
        assert isinstance(outcome, Token)
        assert outcome.expires_at is None
    else:
        assert isinstance(outcome, TransientError)
    assert isinstance(error_of(kind, good, zero_means="expired"), TransientError)
    negative = reply(kind.answer(kind.life_at, -1))
    assert isinstance(error_of(kind, negative, zero_means="never"), TransientError)


@each_kind
def test_a_life_may_be_a_string(kind: Kind) -> None:
    """docs/promises.md 14."""
    said: Any = kind.good
    for key in kind.life_at:
        said = said[key]
    outcome, _ = attempt(
        kind.make, reply(kind.answer(kind.life_at, str(said))), parameters=kind.parameters, previous=kind.previous
    )
    assert isinstance(outcome, Token)
    assert outcome.life_seconds == pytest.approx(kind.life_seconds)


@each_kind
def test_an_absent_secret_causes_no_request(kind: Kind) -> None:
    """An unreadable secret is a configuration error."""
    outcome, loopback = attempt(
        kind.make,
        reply(kind.answer()),
        parameters=kind.parameters,
        previous=kind.previous,
        runtime={"environ": {"PLANTED": "x"}},
    )
    assert isinstance(outcome, SecretError)
    assert loopback.requests == []


@each_kind
def test_a_url_in_clear_is_refused(kind: Kind) -> None:
    """Only https://, or http:// to loopback, is allowed."""
    with pytest.raises(ValueError, match="https"):
        kind.make("http://example.com")


@each_kind
def test_a_host_has_one_rate_limit_for_all_kinds(kind: Kind) -> None:
    """The engine counts pauses by `upstream`."""
    assert kind.make("https://Api.example/some/path/").upstream == "api.example:443"
    assert kind.make("http://127.0.0.1:8080").upstream == "127.0.0.1:8080"


@each_kind
@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example", "http://127.evil.example", "ftp://a.example", "https://u:p@a.example", "https://",
        "https://a.example/?q", "https://a.example/../b", "https://a.example\\@evil.example", "a.example",
    ],
)  # fmt: skip
def test_an_upstream_that_could_be_read_in_two_ways_is_refused(kind: Kind, url: str) -> None:
    """Secrets are sent to this host."""
    if (kind.is_oauth or kind.is_declared) and url.endswith("?q"):
        return
    with pytest.raises(ValueError, match=r"base_url|address|token_url|request"):
        kind.make(url)


@each_kind
def test_a_proxy_sees_no_secret_in_clear(kind: Kind) -> None:
    """A proxy could log the headers and the body of a plain http request."""
    with pytest.raises(ValueError, match=r"(?s)proxy.*http://"):
        kind.make("http://127.0.0.1:8080", proxy="http://proxy.example:3128")
    kind.make("https://a.example", proxy="http://proxy.example:3128")


@each_kind
def test_another_upstream_is_another_account(kind: Kind) -> None:
    """A token of the old host must not be served for the new host."""
    made = kind.make("https://a.example")
    if isinstance(made, HeldSettings):
        assert not {"base_url", "token_url", "request"}.isdisjoint(made.account_fields)
        # A secret within a table has a key with a dot; its table is a field.
        assert {key.partition(".")[0] for key in made.account_fields} <= made.request_fields() | {"secrets"}
        assert not made.local
    assert not made.request_fields() & {"timeout", "proxy", "ca_file", "required", "access", "headers", "zero_means"}
    # Another ``renew`` may end a failure, as another connection may.
    assert kind.previous is not None or made.has_connection_of(kind.make("https://b.example"))
    assert not made.has_connection_of(kind.make("https://a.example", timeout=timedelta(seconds=1)))


@each_kind
def test_equal_tables_are_equal_settings(kind: Kind) -> None:
    """A reload compares with ``==``."""
    assert kind.make("https://a.example") == kind.make("https://a.example/")
    assert kind.make("https://a.example") != kind.make("https://b.example")


@pytest.mark.parametrize("kind", BUILTIN.values(), ids=BUILTIN.keys())
def test_unknown_keys_are_refused(kind: type[ProviderSettings]) -> None:
    """A misspelt key is an error, not a default."""
    with pytest.raises(ValueError, match=r"extra_forbidden|Extra inputs"):
        TypeAdapter(kind).validate_python({"planted_key": 1})


@each_kind
@pytest.mark.parametrize("status", [200, 400, 401, 403, 429, 500])
def test_the_vendors_words_come_beside_the_message_without_any_secret(kind: Kind, status: int) -> None:
    """The words are for admins and callers; an upstream may echo what it was sent. A plain kind shows none."""
    echo = "Account locked. " + " ".join((*kind.secrets, *(secret.encode().hex() for secret in kind.secrets)))
    body = {"status": "Fail", "status_message": echo, "success": False, "errorCode": 3, "errorMessage": echo,
            "message": echo}  # fmt: skip
    error = error_of(kind, reply(json.dumps(body).encode(), status=status))
    assert "Account locked" not in str(error)
    if kind is KINDS["least"]:
        assert error.said is None
    else:
        assert error.said is not None
        assert error.said.startswith("Account locked. ***")
        assert not any(secret in error.said or secret.encode().hex() in error.said for secret in kind.secrets)
