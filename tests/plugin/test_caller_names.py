"""Names that callers give: a few of the unknown ones are reported, and fewer are compared, however many there are."""

import time

from tokend.plugin.caller_names import unknown_parameters

KNOWN = ["account", "environment"]


def test_an_unknown_name_is_reported_with_the_known_ones() -> None:
    """And with the one that it resembles."""
    assert unknown_parameters(["account"], KNOWN) == {}
    assert unknown_parameters({"acount": "", "environment": "", "x": ""}, KNOWN) == {
        "acount": ['is unknown; known are account, environment; did you mean "account"?'],
        "x": ["is unknown; known are account, environment"],
    }
    assert unknown_parameters(["a"], []) == {"a": ["is unknown; known are none"]}


def test_of_many_unknown_names_a_few_are_reported_and_fewer_compared() -> None:
    """Readers wait for each comparison: thousands of near misses cost about as much as ten."""
    given = [f"account{number}" for number in range(20_000)]
    started = time.thread_time()
    errors = unknown_parameters(given, KNOWN)
    assert time.thread_time() - started < 0.5  # a comparison of each takes seconds
    assert list(errors) == given[:10]
    assert errors["account9"][1:] == ["and 19990 more are unknown"]
    assert sum("did you mean" in text for texts in errors.values() for text in texts) == 3


def test_a_long_name_is_compared_with_nothing_and_cut() -> None:
    """Neither is a known one that is long."""
    assert unknown_parameters(["x" * 60_000], ["x" * 59_999]) == {"x" * 64: [f"is unknown; known are {'x' * 59_999}"]}
    long = "account_of_the_customer_who_is_asked_for"
    assert "did you mean" not in unknown_parameters([long + "s"], [long])[long + "s"][0]
    assert "did you mean" not in unknown_parameters([long[:32]], [long])[long[:32]][0]
