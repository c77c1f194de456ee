"""Lines: what is added has the file's own ends, and a file without a final line end stays without."""

import pytest

from tokend.sinks.files.patching import lines


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("", "x\ny\n"),
        ("a", "a\nx\ny"),
        ("a\n", "a\nx\ny\n"),
        ("a\r\nb\r\n", "a\r\nb\r\nx\r\ny\r\n"),
        ("a\r\nb", "a\r\nb\r\nx\r\ny"),
        ("a\n\n", "a\n\nx\ny\n"),
        ("\n", "\nx\ny\n"),
    ],
)
def test_lines_at_the_end(text: str, after: str) -> None:
    """The last line end, if there is one, stays the last."""
    assert lines.with_lines_at_end(text, "x", "y") == after


def test_lines_between_others() -> None:
    """After the line of an offset, or before one."""
    text = "a\r\nb\r\nc"
    assert lines.with_lines_after(text, 3, "x", "y") == "a\r\nb\r\nx\r\ny\r\nc"
    assert lines.with_lines_after(text, 6, "x") == "a\r\nb\r\nc\r\nx"
    assert lines.with_lines_before(text, 3, "x") == "a\r\nx\r\nb\r\nc"


def test_lines_are_found() -> None:
    """Start, end and the next one; the end is before a carriage return."""
    text = "a\r\n  bc\nd"
    assert [lines.line_start(text, offset) for offset in (0, 3, 6, 8)] == [0, 3, 3, 8]
    assert [lines.line_end(text, offset) for offset in (0, 3, 8)] == [1, 7, 9]
    assert [lines.next_line(text, offset) for offset in (0, 3, 8)] == [3, 8, 9]
    assert lines.indentation(text, 5) == "  "
    assert lines.indentation(text, 6) is None
    assert lines.indentation(text, 8) == ""


def test_lines_are_taken_away() -> None:
    """Also the last one of a file without a final line end."""
    assert lines.without_lines("a\r\nb\r\nc", 3, 6) == "a\r\nc"
    assert lines.without_lines("a\r\nb", 3, 4) == "a"
    assert lines.without_lines("a\n", 0, 2) == ""
