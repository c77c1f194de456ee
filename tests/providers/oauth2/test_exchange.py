"""One exchange: what is sent, and what a failure says of it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.providers.live import NOW, at
from tests.providers.oauth2.discovering import discover
from tests.providers.oauth2.logins import OLD, PUBLIC, login
from tests.upstream.loopback import Behaviour, raw, reply, reset, silent, slow_loris
from tokend.plugin.login import BrowserLogin, DeviceLogin
from tokend.providers.oauth2.endpoints import Endpoints
from tokend.providers.oauth2.exchange import ask
from tokend.providers.oauth2.grants import GrantParameters
from tokend.upstream.client import import_client
from tokend.values.errors import LostAnswerError, TransientError
from tokend.values.secret import Secret


def exchanged(behaviour: Behaviour, *, may_spend: bool, url: str | None = None) -> Any:
    """Return what an exchange with the token endpoint raises."""

    async def call(settings: Any, runtime: Any) -> Any:
        server = Endpoints(url or settings.token_url)
        return await ask(settings, runtime, server, GrantParameters({"a": "b"}), may_spend=may_spend)

    return discover(None, behaviour, issuer=None, token_url="URL/token", call=call)[0]


@pytest.mark.parametrize(
    "behaviour",
    [
        reset,
        raw(b""),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"),
        reply(b" " * 300_000),
        reply(b"{}", headers={"Content-Encoding": "gzip"}),
    ],
)
def test_what_was_sent_and_not_answered_is_lost_where_it_may_be_spent(behaviour: Behaviour) -> None:
    """Otherwise it is transient."""
    assert type(exchanged(behaviour, may_spend=True)) is LostAnswerError
    assert type(exchanged(behaviour, may_spend=False)) is TransientError


def test_what_was_not_sent_is_not_lost() -> None:
    """There is nobody at the port."""
    error = exchanged(reset, may_spend=True, url="http://127.0.0.1:1/token")
    assert type(error) is TransientError
    assert not error.is_sent


import_client()  # by itself: it takes longer than some of these exchanges may
STATE = Secret("fake-state")
BROWSER = BrowserLogin("https://a.example", "http://127.0.0.1/", STATE, Secret("fake-verifier"))
DEVICE = DeviceLogin("https://a.example", None, "ABCD", Secret("fake-device-code"), 5.0, at(NOW + 900))
Call = Callable[[Any, Any], Any]
CALLS: dict[str, Call] = {
    "discovery": lambda made, runtime: made.begin_browser(runtime, None),
    "refresh": lambda made, runtime: made.refresh(runtime, login()),
    "code": lambda made, runtime: made.finish_browser(runtime, BROWSER, "http://127.0.0.1/?state=fake-state&code=x"),
    "device": lambda made, runtime: made.begin_device(runtime),
    "poll": lambda made, runtime: made.poll_device(runtime, DEVICE),
    "harmless": lambda made, runtime: made.probe_server(runtime),
    "revocation": lambda made, runtime: made.revoke(runtime, login()),
}
MAY_SPEND = {"refresh", "code"}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "behaviour",
    [
        silent, slow_loris, reset, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"), raw(b"planted\r\n\r\n"),
        reply(b" " * 300_000), reply(b"planted", status=500), reply(b"planted", status=503),
        reply(b"{}", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["silent", "slow-loris", "reset", "cut", "no http", "huge", "500", "503", "gzip"],
)  # fmt: skip
def test_a_hostile_server_is_transient_in_each_exchange(call: str, behaviour: Behaviour) -> None:
    """docs/promises.md 2 to 11: nothing of it is quoted. What may be spent is lost where nothing came."""
    keys = {**PUBLIC, **({"timeout": "500ms"} if behaviour in (silent, slow_loris) else {})}
    if call == "discovery":
        keys |= {"issuer": "URL", "token_url": None, "authorize_url": None}
    outcome, loopback = discover(None, behaviour, call=CALLS[call], **keys)
    assert isinstance(outcome, TransientError), outcome
    # A machine that is very busy may need the whole time to connect.
    most = 2 if call == "discovery" else 1
    assert 1 <= len(loopback.requests) <= most or (behaviour in (silent, slow_loris) and not loopback.requests)
    assert "planted" not in str(outcome) + repr(outcome)
    assert OLD not in str(outcome)
    is_lost = isinstance(outcome, LostAnswerError)
    assert is_lost == (call in MAY_SPEND and not outcome.may_be_spent)
    assert outcome.is_sent == (call != "discovery")
