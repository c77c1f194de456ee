"""Kind ``http-on-demand``: the caller's parameters in the request, what is refused, and a seed's kind as a table."""

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
from pydantic import ValidationError

from tests.providers.http.asking import TOKEN, granted, said
from tests.providers.live import ENVIRON, NOW, LiveRuntime, attempt, env
from tests.upstream.loopback import Behaviour, Loopback, serving
from tokend.plugin.declared.unfit_values import UnfitValueError
from tokend.providers.auth_token import AuthToken
from tokend.providers.http.on_demand import HttpOnDemand
from tokend.values.errors import (
    AttemptError,
    ClockError,
    InvalidParametersError,
    RejectedError,
    SecretError,
    TransientError,
)
from tokend.values.tokens import Token

T = TypeVar("T")
TABLE: dict[str, Any] = {
    "secrets": {"secret": env("API_SECRET")},
    "parameters": {"account": {"pattern": "[A-Za-z0-9._-]{1,64}"}, "note": {"max": 65536, "optional": True}},
    "answer": {"token": "token", "expires_in": "life"},
}
REQUEST: dict[str, Any] = {"method": "POST", "url": "/sessions", "json": {"account": "{account}", "note": "{note}"}}


def settings(origin: str = "https://api.example", **keys: Any) -> HttpOnDemand:
    request = {**REQUEST, **keys.pop("request", {})}
    request = {key: value for key, value in request.items() if value is not None}
    if request["url"].startswith("/"):
        request["url"] = f"{origin}{request['url']}"
    return HttpOnDemand.model_validate({**TABLE, "request": request, **keys})


def issued(caller: dict[str, str], *script: Behaviour, **keys: Any) -> tuple[Token | AttemptError, Loopback]:
    runtime = keys.pop("runtime", None)
    return attempt(lambda url: settings(url, **keys), *script, parameters=caller, runtime=runtime)


def refused(parameters: dict[str, str], **keys: Any) -> set[str]:
    with pytest.raises(InvalidParametersError) as found:
        settings(**keys).check(parameters)
    return set(found.value.errors)


def test_a_callers_parameters_stand_in_the_request() -> None:
    """An absent one that is a member alone is left out; the headers for readers may hold one, too."""
    keys: dict[str, Any] = {"headers": {"X-Account": "{account}", "X-End": "{extra.end}"}}
    answer = {**TABLE["answer"], "extra": {"end": "end"}}
    token, server = issued({"account": "a.b"}, granted(end=7), answer=answer, **keys)
    assert isinstance(token, Token)
    assert server.requests[0].body == b'{"account":"a.b"}'
    headers = settings(answer=answer, **keys).ready_headers(token)
    assert headers == {"Authorization": f"Bearer {TOKEN}", "X-Account": "a.b", "X-End": "7"}
    _, server = issued({"account": "a", "note": 'ä"\n'}, granted())
    assert json.loads(server.requests[0].body) == {"account": "a", "note": 'ä"\n'}


def test_what_does_not_fit_is_refused_before_anything_is_sent() -> None:
    """A pattern, a header of one line, a path that stays below the URL's."""
    assert refused({"account": "a b", "other": "x"}) == {"account", "other"}
    assert refused({}) == {"account"}
    in_header: dict[str, Any] = {"headers": {"X-Note": "{note}"}}
    assert refused({"account": "a", "note": "a\r\nX-Evil: 1"}, request=in_header) == {"note"}
    assert refused({"account": ".."}, request={"url": "/of/{account}"}) == {"account"}
    settings(request={"url": "/of/{account}"}).check({"account": "a.."})


def test_a_body_to_send_has_64_kib_at_most() -> None:
    """A caller's text grows when it is encoded; nothing is sent then."""
    request = {"json": None, "form": {"note": "{note}"}}
    fits, _ = issued({"account": "a", "note": "x" * 65_000}, granted(), request=request)
    assert isinstance(fits, Token)
    error, server = issued({"account": "a", "note": "ä" * 20_000}, granted(), request=request)
    assert isinstance(error, InvalidParametersError)
    assert "has more than 64 KiB" in error.errors["note"][0]
    assert server.requests == []


BESIDE: dict[str, Any] = {"values": {"beside": {"parts": [{"text": "is "}, "note"]}}}


@pytest.mark.parametrize(
    ("note", "keys", "why"),
    [
        ("a\nb", {"request": {"headers": {"X-Note": "{beside}"}}, **BESIDE}, "the header X-Note cannot carry"),
        ("a ", {"request": {"headers": {"X-Note": "{note}"}}}, "the header X-Note cannot carry"),
        ("a ", {"request": {"headers": {"X-Note": "{secret} {note}"}}}, "the header X-Note cannot carry"),
        ("ä", {"headers": {"X-Note": "{beside}"}, **BESIDE}, "the header X-Note cannot carry"),
        (" ", {"headers": {"X-Note": "{note}"}}, "the header X-Note cannot carry"),
        ("ä", {"request": {"headers": {"X-Note": "{both}"}}, "values": {"both": {"parts": ["secret", "note"]}}},
         "the header X-Note cannot carry"),
        ("ä" * 20_000, {"request": {"query": {"q": "{note}"}}}, "the URL has more than 64 KiB"),
        ("a" * 60_000, {"request": {"query": {"q": "{all}"}}, "values": {"all": {"parts": ["note"] * 5}}}, "256 KiB"),
        ("..", {"request": {"url": "/of/{dots}"}, "values": {"dots": {"parts": ["note"]}}}, "leads elsewhere"),
    ],
)  # fmt: skip
def test_parameters_that_make_what_nothing_can_carry_are_the_callers_error(
    note: str, keys: dict[str, Any], why: str
) -> None:
    """Nothing is sent, and the parameter is named; the upstream has done nothing wrong."""
    error, server = issued({"account": "a", "note": note}, granted(), **keys)
    assert isinstance(error, InvalidParametersError)
    assert list(error.errors) == ["note"]
    assert why in error.errors["note"][0]
    assert not error.is_sent
    assert server.requests == []


def test_a_secret_that_no_header_can_carry_is_not_the_callers_error() -> None:
    """What the caller gave would fit."""
    environ = {**ENVIRON, "API_SECRET": "fake\nsecret"}
    keys: dict[str, Any] = {"request": {"headers": {"X-Note": "{secret} {note}"}}, "runtime": {"environ": environ}}
    error, server = issued({"account": "a", "note": "b"}, granted(), **keys)
    assert isinstance(error, SecretError)
    keys = {"headers": {"X-Note": "{secret}{note}"}, "runtime": {"environ": environ}}
    error, server = issued({"account": "a", "note": "b"}, granted(), **keys)
    assert isinstance(error, UnfitValueError)
    assert server.requests == []


def test_errors_mean_what_the_table_says() -> None:
    """A row of ``errors``, a failed ``success``, and the status of any other answer."""
    rows = [{"when": "code == `7`", "means": "rejected"}]
    error, _ = issued({"account": "a"}, said(200, code=7), errors=rows)
    assert isinstance(error, RejectedError)
    error, _ = issued({"account": "a"}, said(200, ok=False, token=TOKEN), answer={**TABLE["answer"], "success": "ok"})
    assert isinstance(error, TransientError)
    error, _ = issued({"account": "a"}, said(401))
    assert isinstance(error, RejectedError)


def test_counters_rise_in_memory() -> None:
    """And not by a clock that cannot be believed."""
    request: dict[str, Any] = {"json": {"n": "{counter_ms}"}}
    numbers = []
    for _ in range(3):
        _, server = issued({"account": "a"}, granted(), request=request, runtime={"unix": NOW + 10**8})
        numbers.append(json.loads(server.requests[0].body)["n"])
    assert numbers == sorted(set(numbers))
    error, server = issued({"account": "a"}, granted(), request=request, runtime={"unix": 5})
    assert isinstance(error, ClockError)
    assert server.requests == []


@pytest.mark.parametrize(
    ("keys", "place", "message"),
    [
        ({"request": {"json": {"a": "{acount}"}}}, ("request", "json", "a"), 'did you mean "account"'),
        ({"request": {"json": {"a": "{token}"}}}, ("request", "json", "a"), 'no placeholder "token"'),
        ({"request": {"url": "/{note}"}}, ("parameters", "note", "optional"), "stands in the URL's path"),
        ({"parameters": {"account": {"pattern": "(a+)+"}}}, ("parameters", "account", "pattern"), "one character"),
        ({"parameters": {"account": {}, "note": {}, "secret": {}}}, ("parameters", "secret"), "secrets.secret has"),
        ({"answer": {"token": "a", "refresh_token": "b"}}, ("answer", "refresh_token"), "for renew of kind http"),
        ({"errors": [{"status": 400, "means": "login_required"}]}, ("errors", 0, "means"), "from no login"),
        ({"renew": {"method": "GET", "url": "https://api.example/"}}, ("renew",), "Extra inputs"),
        ({"request": {"url": "http://169.254.0.1/x", "headers": {"K": "{secret}"}}}, ("request", "url"), "{secret}"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_an_error_at_its_key(keys: dict[str, Any], place: tuple[Any, ...], message: str) -> None:
    """Before any caller asks."""
    with pytest.raises(ValidationError) as wrong:
        settings(**keys)
    assert [one["msg"] for one in wrong.value.errors() if one["loc"] == place and message in one["msg"]]


def test_a_metadata_server_may_be_asked_with_a_parameter() -> None:
    """It is no secret."""
    made = settings(request={"url": "http://169.254.169.254/token", "json": {"audience": "{account}"}})
    assert made.upstream == "169.254.169.254:80"


def test_auth_token_can_be_written_as_a_table() -> None:
    """The same bytes on the wire as the built-in kind."""
    parameters = {"clientId": "CLIENT_001", "username": "tést", "displayName": "Client One", "ipAddress": "192.0.2.7"}
    table: dict[str, Any] = {
        "secrets": {"secret": env("CLIENT_SECRET")},
        "parameters": {name: {"max": 255} for name in parameters},
        "values": {"signature": {"hmac": "sha256", "key": "secret", "parts": ["method", "path", "now_s", "body"]}},
        "request": {
            "url": "/api/v1/generate-auth-token",
            "headers": {"x-timestamp": "{now_s}", "x-signature": "{signature}"},
            "json": {**{name: f"{{{name}}}" for name in parameters}, "expiration": 2},
        },
        "answer": {"success": "status == 'success'", "token": "data.token", "expires_in": "data.expiresIn"},
        "headers": {"Authorization": ""},
    }
    answer = said(status_="", status="success", data={"token": TOKEN, "expiresIn": 120})
    own, at_own = attempt(
        lambda url: AuthToken.model_validate({"base_url": url, "client_secret": env("CLIENT_SECRET")}),
        answer, parameters=parameters,
    )  # fmt: skip
    made, at_table = issued(parameters, answer, **table)
    assert isinstance(own, Token)
    assert isinstance(made, Token)
    assert _on_the_wire(at_own) == _on_the_wire(at_table)
    assert (made.value, made.expires_at, dict(made.headers)) == (own.value, own.expires_at, {})


def _on_the_wire(server: Loopback) -> Any:
    request = server.requests[0]
    headers = {name: text for name, text in request.headers.items() if name != "host"}
    return request.method, request.target, headers, request.body


class WatchedRuntime(LiveRuntime):
    """Run calls in a thread, as the daemon does, and count how often the loop turns meanwhile."""

    turns = 0

    async def run_in_thread(self, call: Callable[[], T], *, seconds: float) -> T:
        async def turn() -> None:
            while True:
                await anyio.lowlevel.checkpoint()
                self.turns += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn)
            found = await anyio.to_thread.run_sync(call)
            tasks.cancel_scope.cancel()
        return found


def test_a_hostile_parameter_takes_no_time() -> None:
    """Of 64 KiB, and wrong at its end."""
    made = settings(parameters={"account": {"pattern": "[a-z]{1,65536}"}, "note": {"optional": True}})
    started = time.thread_time()
    with pytest.raises(InvalidParametersError):
        made.check({"account": "a" * 65_535 + "!"})
    assert time.thread_time() - started < 0.2


def test_a_hostile_body_holds_nobody_up() -> None:
    """An answer of nearly 64 KiB is looked into in a thread, and the loop turns meanwhile."""
    where = "length(sort_by(a, &b)[].join('', [b, b, b])) > `0`"

    async def main() -> int:
        async with serving(said(200, token=TOKEN, a=[{"b": "c" * 10}] * 2000)) as server:
            hostile = settings(server.url, answer={"token": "token", "success": where, "lifetime": "1m"})
            runtime = WatchedRuntime(hostile)
            with contextlib.suppress(AttemptError):
                await hostile.issue(runtime, {"account": "a"})
            return runtime.turns

    assert anyio.run(main) > 3


def test_the_environment_is_never_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of a variable is an unknown name."""
    monkeypatch.setenv("HOME_OF_ALL", "planted")
    with pytest.raises(ValidationError, match="no placeholder"):
        settings(request={"json": {"a": "{HOME_OF_ALL}"}})
    assert ENVIRON["API_SECRET"] not in repr(settings())
