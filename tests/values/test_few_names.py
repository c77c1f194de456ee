"""Lists of names in messages: they stay short."""

from tokend.values.few_names import few


def test_of_many_names_ten_are_listed() -> None:
    """With the number of the others."""
    assert few([]) == ""
    assert few(["a", "b"]) == "a, b"
    assert few([str(number) for number in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert few([str(number) for number in range(107)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 97 more"


def test_of_a_long_name_the_beginning_is_listed() -> None:
    """It is a caller's."""
    assert few(["x" * 9000, "b"]) == "x" * 64 + ", b"
