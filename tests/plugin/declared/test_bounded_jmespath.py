"""The bounded interpreter finds what the library finds."""

import threading
import warnings
from contextlib import suppress
from typing import Any

import jmespath
import pytest

from tokend.plugin.declared import bounded_jmespath
from tokend.plugin.declared.bounded_jmespath import FUNCTIONS, MOST_VISITS, VisitsExceededError, evaluate, parse

DOCUMENT: dict[str, Any] = {
    "numbers": [3, 1, 2.5, -4],
    "words": ["b", "a", "ccc"],
    "people": [{"name": "x", "age": 30, "tags": ["q", "r"]}, {"name": "y", "age": 20}, {"name": "z", "age": 40}],
    "map": {"one": 1, "two": {"three": [1, [2, [3]]]}},
    "text": "some text",
    "flag": True,
    "none": None,
}

EXPRESSIONS = [
    "@", "map.two.three[1][0]", "people[*].name", "people[?age > `25`].name", "people[?age >= `20` && name != 'y']",
    "map.two.three[]", "map.*", "people[*].tags[]", "numbers[1:3]", "numbers[::-1]", "people[-1].name",
    "{a: text, b: map.one}", "[text, flag]", "flag || text", "none || text", "!flag", "people[?!tags].name",
    "people[].[name, age]", "words | [0]", "map.one == `1`", "map.one == flag", "text < 'z'", "people | length(@)",
    "\"text\"", "`{\"a\": [1]}`.a[0]", "`text`", "map.\"two\".three", "none == `null`", "map == map", "map != people",
    "people[*].merge(@, {x: `1`})", "map.two.three == `[1, [2, [3]]]`",
    "abs(`-1`)", "avg(numbers)", "ceil(`1.5`)", "contains(words, 'a')", "contains(text, 'me')", "ends_with(text, 'xt')",
    "floor(`1.5`)", "join(', ', words)", "keys(map)", "length(text)", "map(&age, people)", "max(numbers)", "max(words)",
    "max_by(people, &age).name", "merge(map, {two: `2`})", "min(numbers)", "min_by(people, &age).name",
    "not_null(none, text)", "reverse(words)", "reverse(text)", "sort(words)", "sort_by(people, &age)[*].name",
    "starts_with(text, 'some')", "sum(numbers)", "to_array(text)", "to_string(map)", "to_number('12')", "type(none)",
    "values(map)",
]  # fmt: skip


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_the_limit_changes_nothing_that_is_found(text: str) -> None:
    """Against the library itself, which warns of a text in backquotes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = jmespath.search(text, DOCUMENT)
    assert evaluate(parse(text), DOCUMENT) == wanted


def test_each_function_of_the_library_is_among_them() -> None:
    """A function of a newer version needs its limit looked at."""
    assert {name for name in FUNCTIONS if any(f"{name}(" in text for text in EXPRESSIONS)} == set(FUNCTIONS)


@pytest.mark.parametrize("text", ["a.", "a]", "'x", "a b", "[1:2:3:4]", "{a b}", "foo[", "@@"])
def test_what_the_library_refuses_is_refused(text: str) -> None:
    """By the same exception."""
    with pytest.raises(jmespath.exceptions.ParseError):
        jmespath.compile(text)
    with pytest.raises(jmespath.exceptions.ParseError):
        parse(text)


def test_the_limit_is_that_of_one_evaluation() -> None:
    """A list of this length alone is more than the limit; a shorter one is evaluated any number of times."""
    tree = parse("[*]")
    with pytest.raises(VisitsExceededError):
        evaluate(tree, [1] * MOST_VISITS)
    for _ in range(3):
        assert len(evaluate(tree, [1] * (MOST_VISITS // 2))) == MOST_VISITS // 2


class WatchedLock:
    """A lock that says when somebody waits for it."""

    def __init__(self) -> None:
        self.lock, self.wanted = threading.Lock(), threading.Event()

    def acquire(self) -> None:
        """Say it, and wait."""
        self.wanted.set()
        self.lock.acquire()

    def release(self) -> None:
        """Let the next one go on."""
        self.lock.release()


@pytest.mark.parametrize("elements", [30_000, MOST_VISITS])
def test_one_long_evaluation_runs_at_a_time_and_short_ones_wait_for_nobody(
    monkeypatch: pytest.MonkeyPatch, elements: int
) -> None:
    """Also after one that found too much: the lock is free again."""
    watched = WatchedLock()
    monkeypatch.setattr(bounded_jmespath, "_long_evaluation", watched)
    ended = threading.Event()

    def long() -> None:
        with suppress(VisitsExceededError):
            evaluate(parse("[?@ > `0`] | length(@)"), [1] * elements)
        ended.set()

    with watched.lock:
        assert evaluate(parse("a[?b == `1`] | length(@)"), {"a": [{"b": 1}] * 200}) == 200
        assert not watched.wanted.is_set()
        thread = threading.Thread(target=long, daemon=True)
        thread.start()
        assert watched.wanted.wait(60)
        assert not ended.is_set()
    assert ended.wait(60)
    assert not watched.lock.locked()
