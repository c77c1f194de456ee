"""Names of a table: which secrets are sent, and which stand in a URL."""

from tests.providers.http.asking import OLD, held, settings
from tokend.providers.http.names import held_values, is_of_token, names_in_url, of_token, sent_secrets
from tokend.values.secret import Secret


def test_names_of_a_token_are_its_own_and_those_of_its_members() -> None:
    """As they stand in braces."""
    assert of_token(["a", "b"]) == ["token", "extra.a", "extra.b"]
    assert all(map(is_of_token, of_token(["a"])))
    assert not is_of_token("tokens")


def test_a_hash_sends_nothing_of_what_it_is_made_of() -> None:
    """An encoded text does, through any number of values."""
    values = {
        "sig": {"hmac": "sha256", "key": "secret", "parts": ["key"]},
        "sum": {"hash": "sha256", "parts": ["secret"]},
        "inner": {"parts": ["secret"], "output": "base64"},
        "outer": {"parts": [{"text": "a"}, "inner"]},
    }
    hashed = settings(values=values, request={"json": {"a": "{sig}{sum}"}})
    assert sent_secrets(hashed) == frozenset()
    encoded = settings(values=values, request={"json": None, "query": {"a": "{outer}", "b": "{sig}"}})
    assert sent_secrets(encoded) == {"secret"}
    assert [*names_in_url(encoded, encoded.request)] == [("query.a", "outer")]


def test_a_member_that_the_token_held_lacks_is_nothing() -> None:
    """Also where there is no token; what the table does not name any more is still there."""
    answer = settings(answer={"token": "t", "extra": {"a": "a"}, "secret_extra": {"b": "b"}}).answer
    assert held_values(answer, None) == {"extra.a": None, "extra.b": None}
    assert held_values(answer, held(a=1, c=2)) == {
        "extra.a": 1, "extra.b": None, "extra.c": 2, "token": Secret(OLD),
    }  # fmt: skip
