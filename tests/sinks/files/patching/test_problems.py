"""Places of problems: line and column, as editors count them."""

from tokend.sinks.files.patching.problems import NotThereError, UneditableError, not_parsed, place


def test_a_place_counts_from_one() -> None:
    """In characters; a carriage return is part of its line."""
    text = "é\r\nab\n"
    assert [place(text, offset) for offset in (0, 1, 3, 4, 6)] == [
        "line 1, column 1",
        "line 1, column 2",
        "line 2, column 1",
        "line 2, column 2",
        "line 3, column 1",
    ]


def test_errors_are_of_one_family() -> None:
    """What is not there is a kind of what cannot be edited."""
    assert str(not_parsed("a\nb", 2, "this is no JSON")) == "line 2, column 1: this is no JSON"
    assert issubclass(NotThereError, UneditableError)
