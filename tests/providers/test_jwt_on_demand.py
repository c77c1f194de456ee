"""Kind ``jwt-on-demand``: the caller's parameters in the claims, the times, the headers, what cannot be declared."""

import base64
import json
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import anyio
import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import ValidationError

from tests.providers.live import ENVIRON, NOW, LiveRuntime, env
from tests.providers.private_keys import ec_pem
from tokend.providers.jwt_on_demand import JwtOnDemand
from tokend.providers.request_jwt import RequestJwt
from tokend.values.errors import ClockError, InvalidParametersError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token

T = TypeVar("T")

ORDER = {"url": "/path/to/endpoint", "currency": "BTC", "amount": "0.001", "orderId": "12345"}
# What kind request-jwt does, as a table.
WALLET: dict[str, Any] = {
    "secret": env("ENC_KEY"),
    "secrets": {"key": env("AUTH_KEY")},
    "time_unit": "ms",
    "ttl": "60s",
    "parameters": {name: {} for name in ORDER},
    "values": {
        "signature": {
            "hash": "sha256",
            "separator": "#",
            "parts": ["opened", "amount", "closed"],
        },
        "opened": {"parts": [{"text": '"'}, "currency"]},
        "closed": {"parts": ["orderId", {"text": '"'}]},
    },
    "claims": {"url": "{url}", "iat": "{iat}", "exp": "{exp}", "key": "{key}", "signature": "{signature}"},
    "headers": {"x-auth-key": "{key}", "Content-Type": "application/json"},
}


def settings(**more: Any) -> JwtOnDemand:
    return JwtOnDemand.model_validate({"secret": env("ENC_KEY"), **more})


def issued(made: JwtOnDemand | RequestJwt, parameters: dict[str, str], unix: float = NOW) -> Token:
    """Issue one token, as the engine does."""
    made.check(parameters)

    async def main() -> Token:
        return await made.issue(LiveRuntime(made, unix=unix), parameters)

    return anyio.run(main)


def parts(token: Token) -> tuple[Any, Any]:
    """Return header and claims, unverified."""
    head, body, _ = token.value.reveal().split(".")
    return json.loads(base64.urlsafe_b64decode(head + "==")), json.loads(base64.urlsafe_b64decode(body + "=="))


def test_the_wallets_kind_can_be_written_as_a_table() -> None:
    """The same token, the same end, the same headers."""
    own = issued(RequestJwt.model_validate({"key": env("AUTH_KEY"), "secret": env("ENC_KEY")}), ORDER)
    table = issued(settings(**WALLET), ORDER)
    assert table.value == own.value
    assert table.expires_at == own.expires_at
    assert dict(table.headers) == dict(own.headers)


def test_parameters_stand_in_claims_beside_the_times() -> None:
    """As for an exchange that wants method and path in each JWT. The times follow unless the table places them."""
    made = settings(
        ttl="120s", header={"kid": "k1"}, nonce=True, jti=True,
        parameters={"uri": {"pattern": "[A-Z a-z0-9/._-]{1,200}"}, "note": {"optional": True}},
        claims={"sub": "k1", "nbf": "{iat}", "uri": "{uri}", "note": "{note}", "text": "n={note}",
                "list": ["{note}", 1]},
    )  # fmt: skip
    token = issued(made, {"uri": "GET api.example/v2/accounts"}, NOW + 0.9)
    head, claims = parts(token)
    assert head["kid"] == "k1"
    assert len(head["nonce"]) == 32
    assert list(claims) == ["sub", "nbf", "uri", "text", "list", "iat", "exp", "jti"]
    assert claims["uri"] == "GET api.example/v2/accounts"
    assert claims["text"] == "n="  # an absent parameter is an empty text, and no claim of its own
    assert claims["list"] == [1]
    assert (claims["nbf"], claims["iat"], claims["exp"]) == (NOW, NOW, NOW + 120)
    assert token.issued_at.until(token.expires_at) == pytest.approx(119.1)  # type: ignore[arg-type]  # it has an end
    assert dict(made.ready_headers(token)) == {"Authorization": f"Bearer {token.value.reveal()}"}
    assert parts(issued(made, {"uri": "a", "note": "x"}))[1]["note"] == "x"


def test_a_key_pair_signs_and_an_earlier_iat_is_possible() -> None:
    """As in kind jwt."""
    made = settings(secret=ec_pem(), algorithm="ES256", backdate="30s", ttl="2m", claims={"iss": "you"})
    token = issued(made, {})
    public = load_pem_private_key(ec_pem().encode(), None).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    unchecked: Any = {"verify_exp": False, "verify_iat": False}
    claims = pyjwt.decode(token.value.reveal(), public, algorithms=["ES256"], options=unchecked)
    assert claims == {"iss": "you", "iat": NOW - 30, "exp": NOW + 90}


def test_headers_may_hold_parameters_secrets_and_values() -> None:
    """An empty text removes the usual one."""
    made = settings(
        secrets={"key": env("AUTH_KEY")}, parameters={"user": {}},
        values={"mac": {"hmac": "sha1", "key": "key", "parts": ["user"]}},
        headers={"authorization": "", "X-Token": "JWT {token}", "X-User": "{user}", "X-Mac": "{mac}"},
    )  # fmt: skip
    token = issued(made, {"user": "ann"})
    headers = made.ready_headers(token)
    assert headers["X-Token"] == f"JWT {token.value.reveal()}"
    assert (list(headers), headers["X-User"], len(headers["X-Mac"])) == (["X-Token", "X-User", "X-Mac"], "ann", 40)
    with pytest.raises(InvalidParametersError) as refused:
        issued(made, {"user": "a\nb"})
    assert refused.value.errors["user"][0].startswith("does not fit: the header X-User cannot carry")
    assert not refused.value.is_sent


def test_a_counter_rises_from_token_to_token() -> None:
    """Within the time of one millisecond, too, and where another provider used it; never by an implausible clock."""
    made, other = settings(claims={"n": "{counter_ms}"}), settings(claims={"n": "{counter_ms}"})
    numbers = [parts(issued(one, {}, NOW + 10**8))[1]["n"] for one in (made, other, made)]
    assert numbers == sorted(set(numbers))
    assert numbers[0] >= (NOW + 10**8) * 1000
    with pytest.raises(ClockError, match="clock says 1970-01-01"):
        issued(made, {}, unix=5)


class InThread(LiveRuntime):
    """A runtime with real threads, which notes where the key was used."""

    def __init__(self, made: JwtOnDemand, *, late: bool = False) -> None:
        super().__init__(made, environ={**ENVIRON, "EC": ec_pem()})
        self.calls = 0
        self._late = late

    async def run_in_thread(self, call: Callable[[], T], *, seconds: float) -> T:
        self.calls += 1
        if self._late:
            raise TimeoutError
        return await anyio.to_thread.run_sync(call)


class Noted(JwtOnDemand):
    """The kind, which notes the threads in which it signs."""

    def signed(self, claims: Mapping[str, Any], secret: Secret) -> Secret:
        THREADS.append(threading.get_ident())
        return super().signed(claims, secret)


THREADS: list[int] = []


@pytest.mark.parametrize(
    ("algorithm", "variable", "threads"),
    [("HS256", "ENC_KEY", 0), ("RS256", "PRIVATE_KEY", 1), ("PS256", "PRIVATE_KEY", 1), ("ES256", "EC", 1)],
)
def test_a_key_pair_signs_in_a_thread(algorithm: str, variable: str, threads: int) -> None:
    """A signature of RSA takes milliseconds, and as many callers as there are ask for one."""
    THREADS.clear()
    made = Noted.model_validate({"secret": env(variable), "algorithm": algorithm, "claims": {"a": 1}})
    runtime = InThread(made)
    token = anyio.run(made.issue, runtime, {})
    assert parts(token)[1]["a"] == 1
    assert (runtime.calls, [one != threading.get_ident() for one in THREADS]) == (threads, [bool(threads)])


def test_a_signature_that_takes_too_long_is_a_failure_that_passes() -> None:
    """No thread is free."""
    made = settings(algorithm="RS256", secret=env("PRIVATE_KEY"))
    with pytest.raises(TransientError, match="not signed in time"):
        anyio.run(made.issue, InThread(made, late=True), {})


def test_parameters_are_checked_before_anything_is_signed() -> None:
    """Every wrong one is named."""
    made = settings(parameters={"user": {"pattern": "[a-z]{1,8}"}, "mode": {"pattern": "demo|live"}})
    with pytest.raises(InvalidParametersError) as refused:
        issued(made, {"user": "A", "mod": "demo"})
    assert set(refused.value.errors) == {"user", "mode", "mod"}


@pytest.mark.parametrize(
    ("keys", "place", "message"),
    [
        ({"claims": {"a": ["{nam}"]}, "parameters": {"name": {}}}, ("claims", "a", 0), 'did you mean "name"'),
        ({"claims": {"iat": 5}}, ("claims", "iat"), 'write "{iat}" to say where it stands'),
        ({"claims": {"jti": "x"}, "jti": True}, ("claims", "jti"), "remove it, or jti = true"),
        ({"claims": ["a"]}, ("claims",), "claims are a table"),
        ({"claims": {"a": "{body}"}}, ("claims", "a"), 'no placeholder "body"'),
        ({"parameters": {"iat": {}}}, ("parameters", "iat"), "a time of the token"),
        ({"parameters": {"uuid": {}}}, ("parameters", "uuid"), "built in"),
        ({"parameters": {"a": {}}, "secrets": {"a": env("A")}}, ("parameters", "a"), "secrets.a has this name"),
        ({"values": {"v": {"parts": ["v"]}}}, ("values", "v"), "a circle"),
        ({"headers": {"X": "{tokem}"}}, ("headers", "X"), 'did you mean "token"'),
        ({"headers": {"X": "{"}}, ("headers", "X"), "character 1"),
        ({"ttl": "10s", "backdate": "10s"}, (), "backdate must be less"),
        ({"claims": {"a": 1979}, "time_unit": "us"}, ("time_unit",), "Input should be"),
    ],
)  # fmt: skip
def test_what_cannot_be_issued_is_an_error_at_its_key(
    keys: dict[str, Any], place: tuple[Any, ...], message: str
) -> None:
    """Before any caller asks."""
    with pytest.raises(ValidationError) as refused:
        settings(**keys)
    assert [(one["loc"], message in one["msg"]) for one in refused.value.errors()] == [(place, True)]


def test_all_secrets_are_watched() -> None:
    """The key, and those of the table."""
    assert set(settings(secrets={"key": env("A")}).secrets()) == {"secret", "secrets.key"}


def test_other_claims_are_another_kind_of_token() -> None:
    """1 and true are different claims."""
    assert settings(claims={"a": 1}) == settings(claims={"a": 1})
    assert settings(claims={"a": 1}) != settings(claims={"a": True})
    assert settings(header={"a": 1}) != settings(header={"a": True})
    assert settings(ttl="5m").ttl == timedelta(minutes=5)
