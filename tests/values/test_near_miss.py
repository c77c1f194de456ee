"""Near misses: what a misspelt word is taken for."""

import pytest

from tokend.values.near_miss import did_you_mean, nearest


@pytest.mark.parametrize(
    ("word", "found"), [("api_kye", "api_key"), ("API_KEY", "api_key"), ("expires", "expires_in"), ("zzz", None)]
)
def test_a_misspelt_word_finds_the_word_that_was_meant(word: str, found: str | None) -> None:
    """Another case counts as the same word; what resembles nothing finds nothing."""
    known = ["token", "api_key", "expires_in"]
    assert nearest(word, known) == found
    assert did_you_mean(word, known) == (f'; did you mean "{found}"?' if found else "")


def test_a_higher_cutoff_finds_less() -> None:
    """The caller decides how certain it must be."""
    assert nearest("tokenise", ["token"]) == "token"
    assert nearest("tokenise", ["token"], cutoff=0.95) is None
