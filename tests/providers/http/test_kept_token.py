"""The token that a login keeps for `renew`."""

import json
from dataclasses import replace
from typing import Any

from tests.providers.http.asking import held
from tests.providers.http.logging_in import login_of, refreshed
from tests.providers.live import NOW, at
from tokend.plugin.declared.token_members import members
from tokend.providers.http.kept_token import kept, kept_token
from tokend.values.secret import Secret


def test_a_token_comes_back_with_its_members() -> None:
    """Numbers stay numbers, and secrets stay secrets."""
    token = replace(held(), extra=members({"site": {"a": [1, None]}, "n": 7}, {"feed": "obviously-fake-feed"}))
    parameters = kept(token)
    assert "obviously-fake" not in repr(parameters)
    found = kept_token(login_of(refreshed(), token=parameters))
    assert found is not None
    assert (found.value, found.token_type, found.extra) == (token.value, token.token_type, token.extra)
    assert isinstance(found.extra["feed"], Secret)


def test_its_end_is_that_of_a_login_without_a_refresh_token() -> None:
    """Of another one it is not known: each end that an answer says is a later one."""
    parameters = kept(held())
    bare = kept_token(login_of(refreshed(), token=parameters, refresh_token=None))
    assert bare is not None
    assert bare.expires_at == at(NOW + 600)
    other = kept_token(login_of(refreshed(), token=parameters))
    assert other is not None
    assert other.expires_at == at(NOW - 300)


def test_a_login_that_keeps_none_has_none() -> None:
    """Nor has one that another program wrote, or another version: a member is missing, or of another type."""
    assert kept_token(login_of(refreshed())) is None
    whole = {"value": "obviously-fake", "type": "Bearer", "extra": {}, "secret_extra": {}}
    lacking = [{key: one for key, one in whole.items() if key != name} for name in whole]
    mistyped = [{**whole, name: wrong} for name in whole for wrong in (None, 7, [], ["a"])]
    others: list[Any] = [*lacking, *mistyped, {**whole, "secret_extra": {"feed": 7}}, [], None, 5]
    for content in others:
        assert kept_token(login_of(refreshed(), token={"token": Secret(json.dumps(content))})) is None
    for text in ("no JSON", "[" * 100_000):
        assert kept_token(login_of(refreshed(), token={"token": Secret(text)})) is None
    assert kept_token(login_of(refreshed(), token={"token": Secret(json.dumps(whole))})) is not None
