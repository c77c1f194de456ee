"""One exchange: what is sent, and what a failure says of it."""

from typing import Any

import pytest

from tests.providers.oauth2.discovering import discover
from tests.upstream.loopback import Behaviour, raw, reply, reset
from tokend.providers.oauth2.endpoints import Endpoints
from tokend.providers.oauth2.exchange import ask
from tokend.providers.oauth2.grants import GrantParameters
from tokend.values.errors import LostAnswerError, TransientError


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
