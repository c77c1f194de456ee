"""Kind ``http``: one request that the configuration declares, and the token of its answer."""

import json
from typing import Any

import pytest

from tests.providers.http.asking import TOKEN, ask, error_of, granted, settings, token_of
from tests.providers.live import ENVIRON, NOW, at
from tests.upstream.loopback import reply
from tokend.values.tokens import Token


def test_the_request_is_the_declared_one_and_the_answer_gives_the_token() -> None:
    """Secrets stand where the table names them; a life counts from the request."""
    outcome, server = ask(
        granted(), request={"headers": {"X-Sig": "{secret}"}, "json": {"id": "{key}", "list": [1, "{{}}", "{now_s}"]}}
    )
    assert isinstance(outcome, Token)
    request = server.requests[0]
    assert (request.method, request.target) == ("POST", "/token")
    assert json.loads(request.body) == {"id": ENVIRON["API_KEY"], "list": [1, "{}", NOW]}
    assert request.headers["x-sig"] == ENVIRON["API_SECRET"]
    assert outcome.value.reveal() == TOKEN
    assert outcome.headers["Authorization"].reveal() == f"Bearer {TOKEN}"
    assert outcome.issued_at == at(NOW)
    assert outcome.life_seconds == pytest.approx(3600)


def test_a_value_is_computed_over_what_is_sent() -> None:
    """Byte for byte."""
    values = {"sum": {"hash": "sha256", "parts": ["method", "path", "body"], "output": "hex"}}
    outcome, server = ask(granted(), values=values, request={"headers": {"X-Sum": "{sum}"}})
    assert isinstance(outcome, Token)
    import hashlib

    sent = server.requests[0]
    assert sent.headers["x-sum"] == hashlib.sha256(b"POST/token" + sent.body).hexdigest()


def test_readers_get_the_members_that_are_declared() -> None:
    """And the headers that are."""
    keys: dict[str, Any] = {
        "answer": {"token": "token", "lifetime": "1h", "extra": {"who": "who"}},
        "headers": {"X-W": "{extra.who}"},
    }
    token = token_of(granted(who="ann"), **keys)
    made = settings(**keys)
    assert made.shown_extra(token) == {"who": "ann"}
    assert made.ready_headers(token) == {"Authorization": f"Bearer {TOKEN}", "X-W": "ann"}


def test_a_text_that_is_the_token_is_in_no_error() -> None:
    """The words of an answer are kept and shown; here they are the token itself, which cannot be used."""
    text = reply(b"planted-fake-token", headers={"Content-Type": "text/plain"})
    error = error_of(text, answer={"token": {"text": True}, "expires_in": {"header": "X-Life"}})
    assert "planted" not in str(error.said)


def test_a_header_with_braces_of_its_own_is_sent() -> None:
    """Written as {{ and }}; it names a secret, so it is made with the token."""
    token = token_of(granted(), headers={"X-Key": '{{"k":"{key}"}}'})
    assert token.headers["X-Key"].reveal() == f'{{"k":"{ENVIRON["API_KEY"]}"}}'


def test_a_header_that_is_computed_of_what_the_answer_lacks_is_not_made_up() -> None:
    """The token cannot be used by its readers."""
    keys = {
        "answer": {"token": "token", "expires_in": "life", "extra": {"account": "account"}},
        "values": {"whole": {"parts": [{"text": "acct:"}, "extra.account"]}},
        "headers": {"X-Account": "{whole}"},
    }
    assert token_of(granted(account="A1"), **keys).headers["X-Account"].reveal() == "acct:A1"
    assert "without extra.account, which headers need" in str(error_of(granted(), **keys))
