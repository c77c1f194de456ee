"""Functions of TTRestAPI.tt_utils."""

from tokend.client import ttrestapi
from tokend.client.ttrestapi.tt_utils import format_bearer_token


def test_a_token_gets_its_prefix_once() -> None:
    """With the capital B that TT demands."""
    assert format_bearer_token("fake") == "Bearer fake"
    assert format_bearer_token("Bearer fake") == "Bearer fake"
    assert ttrestapi.format_bearer_token is format_bearer_token
