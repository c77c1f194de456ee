"""Kind ``http``: one request that the configuration declares, and the token of its answer."""

import json

import pytest

from tests.providers.http.asking import TOKEN, ask, error_of, granted, said, token_of
from tests.providers.live import ENVIRON, at
from tokend.values.errors import RejectedError, TransientError
from tokend.values.tokens import Token


def test_the_request_is_the_declared_one_and_the_answer_gives_the_token() -> None:
    """Secrets stand where the table names them; a life counts from the request."""
    outcome, server = ask(
        granted(), request={"headers": {"X-Sig": "{secret}"}, "json": {"id": "{key}", "list": [1, "{{}}"]}}
    )
    assert isinstance(outcome, Token)
    request = server.requests[0]
    assert (request.method, request.target) == ("POST", "/token")
    assert json.loads(request.body) == {"id": ENVIRON["API_KEY"], "list": [1, "{}"]}
    assert request.headers["x-sig"] == ENVIRON["API_SECRET"]
    assert outcome.value.reveal() == TOKEN
    assert outcome.headers["Authorization"].reveal() == f"Bearer {TOKEN}"
    assert outcome.issued_at == at(1_700_000_000)
    assert outcome.life_seconds == pytest.approx(3600)


def test_places_are_expressions() -> None:
    """A token may stand in a list, a life be computed."""
    found = token_of(
        said(data=[{"t": TOKEN, "minutes": 5}]),
        answer={"token": "data[0].t", "expires_in": "data[0].minutes"},
    )
    assert found.value.reveal() == TOKEN
    assert found.life_seconds == 5


def test_an_answer_without_the_token_is_discarded() -> None:
    """Whatever its status."""
    assert isinstance(error_of(said(planted="x")), TransientError)
    assert isinstance(error_of(said(401, planted="x")), RejectedError)
