"""Exceptions of plug-ins in words for the operator, and the API that a plug-in says."""

import pytest

from tokend.plugin import API
from tokend.plugin.plugin_errors import MOST_CHARACTERS, of_another_api, words_of


def test_the_words_are_the_class_and_the_first_line() -> None:
    """Without what a terminal would obey, and not for ever."""
    assert words_of(ValueError("one\ntwo")) == "ValueError: one"
    assert words_of(ValueError()) == "ValueError"
    assert words_of(KeyError("x")) == "KeyError: 'x'"
    assert words_of(ValueError("a\x1b[31m")) == "ValueError: a?[31m"
    assert len(words_of(ValueError("a " * 1000))) == len("ValueError: ") + MOST_CHARACTERS


def test_the_words_hold_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what looks like one."""
    monkeypatch.setenv("ACME_PASSWORD", "planted-fake-words")
    monkeypatch.setenv("ACME_NAME", "plain-fake-words")
    text = words_of(ValueError("planted-fake-words plain-fake-words ghp_0123456789abcdef"))
    assert text == "ValueError: (not shown) plain-fake-words (not shown)"


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (None, None),
        (API, None),
        (2, "written for API 2; this tokend has 1"),
        (0, "written for API 0; this tokend has 1"),
        ("1", "written for API '1'; this tokend has 1"),
        ((1, 2), "written for API (1, 2); this tokend has 1"),
    ],
)
def test_a_plug_in_may_say_which_api_it_is_written_for(found: object, fault: str | None) -> None:
    """There is one number, and no range."""
    assert of_another_api(found) == fault
