"""Values in double quotes: three formats read the same text."""

import io
import json
import tomllib

import pytest
from hypothesis import given
from ruamel.yaml import YAML

from tests.sinks.files.patching.edits import TEXTS
from tokend.sinks.files.patching.problems import UnencodableError
from tokend.sinks.files.patching.value import Value, quoted


@given(TEXTS)
def test_a_quoted_string_is_read_alike_by_json_toml_and_yaml(text: str) -> None:
    """Every character, also those that end a line in one of them."""
    written = quoted(text)
    assert json.loads(written) == text
    assert tomllib.loads(f"v = {written}")["v"] == text
    if text.isprintable() or not any(ord(character) >= 0xFFF0 for character in text):
        assert YAML(typ="safe", pure=True).load(io.StringIO(f"v: {written}\n"))["v"] == text


def test_nothing_shows_the_text() -> None:
    """A value is a secret."""
    assert "planted-fake" not in repr(Value("planted-fake"))


@pytest.mark.parametrize("text", ["0", "-1", "1748276587173", "1.5", "-0.25"])
def test_a_number_is_written_as_it_is(text: str) -> None:
    """Digits, a minus, a fraction."""
    assert Value(text, is_number=True).quoted() == text


@pytest.mark.parametrize("text", ["", "01", "1e5", "0x1", "None", "1 ", "1.", ".5", "+1", "NaN", "1_0", "١"])
def test_what_formats_read_differently_is_no_number(text: str) -> None:
    """YAML 1.1 takes 1e5 for a string and 010 for 8."""
    with pytest.raises(UnencodableError, match="it is no number"):
        Value(text, is_number=True).quoted()


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\x00", "\x1b", "a\u2028b", "a\tb"])
def test_a_line_has_no_control_characters(text: str) -> None:
    """The rest of the text would be another line."""
    with pytest.raises(UnencodableError, match="control character"):
        Value(text).line()
    assert Value("a b é").line() == "a b é"
