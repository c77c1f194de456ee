"""JMESPath expressions of a configuration: compiled when it is read, evaluated with a limit.

The library `jmespath` is imported by the first expression.
"""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from tokend.values.errors import TransientError
from tokend.values.near_miss import did_you_mean

LONGEST_EXPRESSION = 1000
# Deepest nesting of an expression: each level takes a few calls of the parser and of the interpreter.
DEEPEST = 50
_JSON_WORDS = frozenset({"true", "false", "null"})
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
# What stands before a value.
_BEFORE_VALUE = tuple("=<>(,?&|")
# Functions whose second argument is hardly ever a field.
_TEXT_SECOND = frozenset({"contains", "starts_with", "ends_with"})


class Expression:
    """One compiled expression. Immutable; equal to another of the same text.

    Raises ValueError for a text that is no expression. The message has the position in the text.
    """

    __slots__ = ("_tree", "text")

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_EXPRESSION:
            raise ValueError(f"an expression has at most {LONGEST_EXPRESSION} characters; found {len(text)}")
        self._tree = _parse(text)
        self.text = text
        _check_functions(text, self._tree)

    def find(self, document: Any) -> Any:
        """Return what the expression finds in a JSON value. None if it finds nothing or cannot be applied.

        Blocks, less than half a second: call it in a thread. Raises `TransientError` if the evaluation visits
        more than 100,000 nodes; the answer is to be discarded then.
        """
        from tokend.plugin.declared.bounded_jmespath import MOST_VISITS, VisitsExceededError, evaluate

        try:
            return evaluate(self._tree, document)
        except VisitsExceededError:
            raise TransientError(
                f"the answer is too large: an expression visited more than {MOST_VISITS:,} nodes"
            ) from None

    def holds(self, document: Any) -> bool:
        """Return whether the expression finds something true. JMESPath: not null, false, or empty. Otherwise as `find`.

        The number 0 is true.
        """
        found = self.find(document)
        return not (found is None or found is False or (isinstance(found, str | list | dict) and not found))

    def slips(self) -> Iterator[str]:
        """Yield a message for each field that was probably meant as a value: ``code == "BAD"``, ``ok == true``.

        Such a field is null in most answers, and null equals null.
        """
        for node, _ in _nodes(self._tree):
            for child, is_operand, may_be_text in _values_of(node):
                if child.get("type") != "field":
                    continue
                is_quoted = child.get("is_quoted", False)
                is_word = child["value"] in _JSON_WORDS and (is_operand or not is_quoted)
                if is_word or (is_quoted and may_be_text):
                    yield _slip(child["value"], is_quoted=is_quoted)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def compiled(value: object) -> Expression:
    """Return the expression that a configuration has written. Raises ValueError for what is none."""
    if isinstance(value, Expression):
        return value
    if not isinstance(value, str):
        raise ValueError('a JMESPath expression is a string: "data.token"')  # noqa: TRY004  (pydantic wants it)
    return Expression(value)


ExpressionField = Annotated[
    Expression,
    PlainValidator(compiled),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST_EXPRESSION}),
]
"""The type of a settings field that holds an expression."""


def _parse(text: str) -> dict[str, Any]:
    from jmespath import exceptions

    from tokend.plugin.declared.bounded_jmespath import parse

    if not text.strip():
        raise ValueError("a JMESPath expression is not empty")
    try:
        tree = parse(text)
    except exceptions.LexerError as error:
        what = "opens what is not closed" if str(error.message).startswith("Unclosed") else "does not belong here"
        raise ValueError(_at(text, error.lexer_position, f"it {what}")) from None
    except exceptions.IncompleteExpressionError:
        raise ValueError(f"not JMESPath: it ends too early, after character {len(text)}") from None
    except exceptions.ParseError as error:
        advice = _number_advice(text, error.lex_position)
        raise ValueError(_at(text, error.lex_position, f"it does not belong here{advice}")) from None
    except RecursionError:
        raise ValueError(f"an expression is nested at most {DEEPEST} levels deep") from None
    except ValueError:
        # A number of thousands of digits, a slice with too many colons.
        raise ValueError("not JMESPath: one of its numbers or slices is not acceptable") from None
    if any(depth > DEEPEST for _, depth in _nodes(tree)):
        raise ValueError(f"an expression is nested at most {DEEPEST} levels deep")
    return tree


def _at(text: str, position: int, what: str) -> str:
    found = text[position : position + 1]
    shown = f": {found}" if found.isprintable() and found.strip() else ""
    return f"not JMESPath: character {position + 1}{shown}: {what}"


def _number_advice(text: str, position: int) -> str:
    """Return what to write for a number at a position where a value may stand; empty for anything else."""
    found = _NUMBER.match(text, position)
    before = text[:position].rstrip()
    return f": write `{found[0]}` in backticks" if found and (not before or before.endswith(_BEFORE_VALUE)) else ""


def _values_of(node: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bool, bool]]:
    """Yield the parts of a node that may be values: whether it is compared, and whether it stands where a text does."""
    sort, children = node["type"], node.get("children", ())
    if sort == "comparator":
        yield children[0], True, False
        yield children[1], True, True
    elif sort in {"and_expression", "or_expression", "not_expression"}:
        yield from ((child, False, False) for child in children)
    elif sort == "function_expression":
        has_text = node["value"] in _TEXT_SECOND
        yield from ((child, has_text, has_text and index == 1) for index, child in enumerate(children))


def _slip(name: str, *, is_quoted: bool) -> str:
    shown = json.dumps(name, ensure_ascii=False)
    if not is_quoted:
        return f"{name} is a field here: write `{name}` in backticks"
    as_text = shown[1:-1].replace('\\"', '"').replace("'", "\\'")
    as_json = f" (a text) or `{name}` (JSON)" if name in _JSON_WORDS or _NUMBER.fullmatch(name) else " for the text"
    return f"{shown} is a field here: write '{as_text}'{as_json}"


def _nodes(tree: dict[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each node of a syntax tree with its depth."""
    waiting = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting += [(child, depth + 1) for child in node.get("children", ()) if isinstance(child, dict)]


def _check_functions(text: str, tree: dict[str, Any]) -> None:
    """Refuse what no document makes right: an unknown function, a wrong number or a wrong sort of arguments."""
    from tokend.plugin.declared.bounded_jmespath import FUNCTIONS

    for node, _ in _nodes(tree):
        if node["type"] == "slice" and node["children"][2] == 0:
            raise ValueError("not JMESPath: a slice has no step of 0")
        if node["type"] != "function_expression":
            continue
        name = node["value"]
        if name not in FUNCTIONS:
            raise ValueError(f"{_place(text, name)}: there is no function {name}{did_you_mean(name, FUNCTIONS)}")
        if (fault := _argument_fault(FUNCTIONS[name]["signature"], node["children"])) is not None:
            raise ValueError(f"{_place(text, name)}: {name} {fault}")


def _argument_fault(signature: tuple[dict[str, Any], ...], given: list[dict[str, Any]]) -> str | None:
    variadic = bool(signature and signature[-1].get("variadic"))
    if len(given) < len(signature) or (len(given) > len(signature) and not variadic):
        least = "at least " if variadic else ""
        return f"takes {least}{len(signature)} argument{'' if len(signature) == 1 else 's'}; found {len(given)}"
    for number, argument in enumerate(given):
        wanted = signature[min(number, len(signature) - 1)]["types"]
        if (argument["type"] == "expref") != ("expref" in wanted):
            needs = "needs & before" if "expref" in wanted else "takes no & before"
            return f"{needs} its argument {number + 1}"
        if argument["type"] == "literal" and wanted and not _may_be(argument["value"], wanted):
            return f"does not take such a literal as its argument {number + 1}: it takes {' or '.join(wanted)}"
    return None


def _may_be(literal: Any, wanted: list[str]) -> bool:
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    name = names.get(type(literal), "null")
    return any(one == name or one.startswith(f"{name}-") for one in wanted)


def _place(text: str, function: str) -> str:
    """Return the place of a function's first call, for messages."""
    from tokend.plugin.declared.bounded_jmespath import tokens

    found = tokens(text)
    for one, following in pairwise(found):
        if one["value"] == function and following["type"] == "lparen":
            return f"not JMESPath: character {one['start'] + 1}"
    return "not JMESPath"
