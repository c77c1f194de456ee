"""Expressions: what they find, what is refused when the configuration is read, and with which place."""

import sys
import threading
import time
from typing import Any

import pytest
from pydantic import ValidationError

from tokend.plugin.declared.expressions import Expression, ExpressionField
from tokend.plugin.settings_base import Settings
from tokend.values.errors import TransientError

DOCUMENT: dict[str, Any] = {
    "error": ["EAPI:Invalid key", 5],
    "result": {"token": "planted-fake", "expires": 900, "zero": 0, "none": None, "empty": []},
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("result.token", "planted-fake"),
        ("result.nothing.at.all", None),
        ("error[0]", "EAPI:Invalid key"),
        ("length(result.empty) == `0`", True),
        ("starts_with(error[0], `EAPI`)", True),
        ("error[?type(@) == 'number'] | [0]", 5),
    ],
)
def test_an_expression_finds_its_place(text: str, found: Any) -> None:
    """JMESPath; a text may stand in backquotes, as many people write it."""
    assert Expression(text).find(DOCUMENT) == found


@pytest.mark.parametrize(
    "text",
    [
        "length(result.expires)", "starts_with(result.none, 'x')", "error[?starts_with(@, 'E')]", "sum(error)",
        "ceil(to_number('1e999'))", "avg(result)", "sort(error)", "join(',', error)", "max_by(error, &a)",
        "result.token > result.expires", "error[999999999999999999999]",
    ],
)  # fmt: skip
def test_an_expression_that_does_not_apply_is_absent_and_false(text: str) -> None:
    """A function of another type's value, a number out of range: never an exception."""
    assert Expression(text).find(DOCUMENT) is None
    assert not Expression(text).holds(DOCUMENT)


@pytest.mark.parametrize(
    ("text", "held"),
    [("result.token", True), ("result.zero", True), ("result.empty", False), ("result.none", False),
     ("error[?@ == `6`]", False), ("error[?@ == `5`]", True), ("''", False), ("`false`", False),
     ("!(result.nope)", True)],
)  # fmt: skip
def test_what_holds_is_what_jmespath_calls_true(text: str, held: bool) -> None:
    """Null, false and what is empty are false; the number 0 is not."""
    assert Expression(text).holds(DOCUMENT) is held


@pytest.mark.parametrize(
    ("text", "slips"),
    [
        ('code == "BAD"', ["\"BAD\" is a field here: write 'BAD' for the text"]),
        ('errors[?error.code != "A" && `1` == "2"]',
         ["\"A\" is a field here: write 'A' for the text", "\"2\" is a field here: write '2' (a text) or `2` (JSON)"]),
        ("success == true", ["true is a field here: write `true` in backticks"]),
        ("null != error", ["null is a field here: write `null` in backticks"]),
        ('ok == "true"', ["\"true\" is a field here: write 'true' (a text) or `true` (JSON)"]),
        ("ok && !false", ["false is a field here: write `false` in backticks"]),
        ('contains(error, "it\'s")', ["\"it's\" is a field here: write 'it\\'s' for the text"]),
        ('"p-captcha" == `true`', []), ("code == 'BAD' && ok == `true` && error == `null`", []),
        ('a."b-c" == d.true', []), ('a == b."c-d"', []), ('contains("a-b", c) || not_null(a, "b-c")', []),
        ("code == other", []), ("[true, {null: null}]", []),
    ],
)  # fmt: skip
def test_a_field_that_was_probably_meant_as_a_value_is_a_slip(text: str, slips: list[str]) -> None:
    """A field that the answer lacks is null, and equals another one that it lacks."""
    assert sorted(Expression(text).slips()) == sorted(slips)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("code == 1004", "character 9: 1: it does not belong here: write `1004` in backticks$"),
        ("a[?b > -1.5]", "character 8: -: it does not belong here: write `-1.5` in backticks$"),
        ("contains(a, 5)", "write `5` in backticks$"), ("a.5", "character 3: 5: it does not belong here$"),
        ("", "not empty"), (" ", "not empty"),
        ("a.", "ends too early, after character 2|character 3: it does not belong"),
        ("a]", r"character 2: \]"), ("result..token", r"character 8: \."), ("'x", "character 1: ': it opens"),
        ("a = b", "character 3: ="), ("lenght(a)", 'character 1: there is no function lenght; did you mean "length"'),
        ("a.b | lenght(@)", "character 7: there is no function"), ("length(a, b)", "takes 1 argument; found 2"),
        ("not_null()", "at least 1 argument"), ("sort_by(a, b)", "needs & before its argument 2"),
        ("length(&a)", "takes no & before its argument 1"), ("length(`5`)", "does not take such a literal"),
        ("a[::0]", "no step of 0"), ("a" * 1001, "at most 1000 characters; found 1001"),
        ("!" * 200 + "a", "50 levels"), ("a[" + "9" * 990 + "]", None),
    ],
)  # fmt: skip
def test_what_no_answer_makes_right_is_refused_with_its_position(text: str, message: str | None) -> None:
    """When the configuration is read, not when the first answer comes."""
    if message is None:
        assert Expression(text).find([]) is None
        return
    with pytest.raises(ValueError, match=message):
        Expression(text)


def test_a_settings_field_compiles_its_expression() -> None:
    """Equal texts are equal settings; another type than a text is refused."""

    class Table(Settings):
        place: ExpressionField

    one = Table.model_validate({"place": "a.b"})
    assert one == Table.model_validate({"place": "a.b"}) != Table.model_validate({"place": "a.c"})
    assert hash(one.place) == hash(Expression("a.b"))
    assert repr(one.place) == "Expression('a.b')"
    assert Table.model_json_schema()["properties"]["place"]["maxLength"] == 1000
    for wrong in ("a.", 5):
        with pytest.raises(ValidationError):
            Table.model_validate({"place": wrong})
    assert Table(place=one.place) == one


def doubling(last: str) -> str:
    return "|".join(["[@, @]"] * 40 + [last])


# Each step doubles a list without end, or a text.
LISTS = "|".join(["[@[0], @[0]]", *["[@, @][]"] * 14])


@pytest.mark.parametrize(
    ("text", "document"),
    [
        (doubling("to_string(@)"), [1]),
        (doubling("@ == @"), [1]),
        (doubling("contains(@, 'x')"), [1]),
        ("|".join(["join('', [to_string(@), to_string(@)])"] * 25), ["x" * 60_000]),
        (f"{LISTS} | sort(@)", ["x" * 60_000]),
        (f"{LISTS} | [?@ == @]", ["x" * 60_000]),
        (f"{LISTS} | [?@ >= @]", ["x" * 60_000]),
        (f"{LISTS} | sort_by(@, &@)", ["x" * 60_000]),
        (f"{LISTS} | join('', @)", ["x" * 60_000]),
        ("[*].[@, @, @] | [*].[@, @, @] | [*].[@]", [1] * 32_000),
        ("@" + "[:]" * 40, [1] * 32_000),
        ("@" + "[]" * 20, [1] * 32_000),
        (f"join('{'x' * 900}', @)", ["y"] * 16_000),
    ],
)
def test_a_hostile_answer_ends_the_evaluation_soon_and_in_little_memory(text: str, document: Any) -> None:
    """100,000 visited nodes, whatever a node is: a place in the expression, an element, a part of a long text."""
    expression = Expression(text)
    started = time.thread_time()
    with pytest.raises(TransientError, match="more than 100,000 nodes"):
        expression.find(document)
    assert time.thread_time() - started < 2


def test_a_large_answer_is_no_hostile_one() -> None:
    """A list of 6,000 objects is searched, sorted and compared."""
    document = [{"name": f"n{number}", "value": number} for number in range(6000)]
    assert Expression("[?name == 'n5999'].value | [0]").find(document) == 5999
    assert Expression("sort_by(@, &value)[-1].name").find(document) == "n5999"
    assert Expression("length([*].name)").find(document) == 6000


def test_other_threads_run_while_an_expression_is_evaluated() -> None:
    """Also where Python would not switch for a second."""
    before = sys.getswitchinterval()
    expression, ran = Expression("[?@ > `0`] | [?@ > `0`]"), 0
    started, ended = threading.Event(), threading.Event()

    def find() -> None:
        started.set()
        with pytest.raises(TransientError):
            expression.find([1] * 32_000)
        ended.set()

    sys.setswitchinterval(1)
    try:
        thread = threading.Thread(target=find)
        thread.start()
        started.wait()
        while not ended.is_set():
            ran += 1
            time.sleep(0)
        thread.join()
    finally:
        sys.setswitchinterval(before)
    assert ran > 20


def test_an_expression_is_not_its_text() -> None:
    """Two settings are equal only if both are expressions."""
    assert Expression("a") != "a"
