"""The JMESPath parser and an interpreter that ends after `MOST_VISITS` visited nodes.

Imports the library `jmespath`. `expressions` imports this module on use.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from jmespath import functions, lexer, parser, visitor

# Visited nodes of one evaluation: some tenths of a second.
MOST_VISITS = 100_000
# Characters of a string that count as one node.
NODE_CHARACTERS = 8
# The interpreter lets other threads run after this number of visits, about half a millisecond. Python alone would do so
# after 5 ms, and then let any thread run. It rests, since a thread that only gives the interpreter's lock away has it
# again before another one wakes up.
VISITS_AT_ONCE = 250
REST_SECONDS = 1e-4
# After this number of visits an evaluation needs a lock that only one can hold: several at once would leave the event
# loop a small part of the interpreter's lock. Shorter ones, which are nearly all, wait for nobody.
VISITS_WITHOUT_LOCK = 2_000
_long_evaluation = threading.Lock()
# Functions that compare or write whole values, not only the elements of their arguments.
_DEEP = frozenset({"contains", "join", "max", "max_by", "min", "min_by", "sort", "sort_by", "to_string"})
FUNCTIONS: Mapping[str, Mapping[str, Any]] = functions.Functions.FUNCTION_TABLE
Node = dict[str, Any]


class VisitsExceededError(Exception):
    """The evaluation has visited more than `MOST_VISITS` nodes."""


def parse(text: str) -> Node:
    """Return the syntax tree. Raises `jmespath.exceptions.ParseError` or `RecursionError`."""
    tree: Node = _Parser().parse(text).parsed
    return tree


def tokens(text: str) -> list[Node]:
    """Return the tokens of a text that `parse` accepts."""
    return list(_Lexer().tokenize(text))


def evaluate(tree: Node, document: Any) -> Any:
    """Return what the expression finds. None if it finds nothing, or cannot be applied to the document.

    A long evaluation waits for those of other threads. Raises `VisitsExceededError`.
    """
    interpreter = _Interpreter()
    try:
        return interpreter.visit(tree, document)
    except VisitsExceededError:
        raise
    except Exception:
        # A function got a value of another type, a number is too large, …: the text of the error quotes the answer.
        return None
    finally:
        interpreter.end()


class _Lexer(lexer.Lexer):  # type: ignore[misc]  # the library has no types
    """The library's lexer without its warning about `` `text` ``, which many people write for ``'text'``."""

    def _consume_literal(self) -> Node:
        start = self._position
        written = self._consume_until("`").replace("\\`", "`")
        try:
            value = json.loads(written)
        except ValueError:
            value = written.lstrip()
        return {"type": "literal", "value": value, "start": start, "end": self._position - start}


class _Parser(parser.Parser):  # type: ignore[misc]  # the library has no types
    """The library's parser with our lexer, and without its cache."""

    def parse(self, expression: str) -> Any:
        """Parse one expression."""
        return self._do_parse(expression)

    def _parse(self, expression: str) -> Any:
        from jmespath import exceptions

        self._tokens = tokens(expression)
        self._index = 0
        parsed = self._expression(binding_power=0)
        if self._current_token() != "eof":
            token = self._lookahead_token(0)
            raise exceptions.ParseError(token["start"], token["value"], token["type"])
        return parser.ParsedResult(expression, parsed)

    def _token_nud_quoted_identifier(self, token: Node) -> Node:
        return {**super()._token_nud_quoted_identifier(token), "is_quoted": True}


class _Interpreter(visitor.TreeInterpreter):  # type: ignore[misc]  # the library has no types
    """The library's interpreter, which counts the nodes of the tree and of the values that it works on.

    A value can hold another value many times over, as in ``[@, @] | [@, @]``: what compares or writes such a value
    visits each of its copies.
    """

    def __init__(self) -> None:
        super().__init__(visitor.Options(custom_functions=_Functions(self.spend, self.weigh)))
        self._left = MOST_VISITS
        self._has_lock = False

    def end(self) -> None:
        """Release the lock of long evaluations."""
        if self._has_lock:
            _long_evaluation.release()

    def spend(self, visits: int) -> None:
        """Count so many visits. Raises `VisitsExceededError`."""
        before = self._left // VISITS_AT_ONCE
        self._left -= visits
        if self._left < 0:
            raise VisitsExceededError
        if self._left // VISITS_AT_ONCE != before:
            self._rest()

    def _rest(self) -> None:
        if not self._has_lock and self._left < MOST_VISITS - VISITS_WITHOUT_LOCK:
            _long_evaluation.acquire()
            self._has_lock = True
        time.sleep(REST_SECONDS)

    def weigh(self, value: Any) -> None:
        """Count each node of a value as a visit."""
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if isinstance(one, str):
                self.spend(1 + len(one) // NODE_CHARACTERS)
            elif isinstance(one, dict):
                self.spend(1 + len(one))
                waiting += [*one, *one.values()]
            elif isinstance(one, list):
                self.spend(1 + len(one))
                waiting += one
            else:
                self.spend(1)

    def visit(self, node: Node, *args: Any, **kwargs: Any) -> Any:
        """Visit one node."""
        self.spend(1)
        return super().visit(node, *args, **kwargs)

    def visit_comparator(self, node: Node, value: Any) -> Any:
        """Compare two values. Null for an order of what has none, as a number and a text."""
        left, right = (self.visit(child, value) for child in node["children"])
        if type(left) is type(right) and isinstance(left, str | list | dict) and len(left) == len(right):
            self.weigh(left)
        compare: Callable[[Any, Any], bool] = self.COMPARATOR_FUNC[node["value"]]
        if node["value"] in self._EQUALITY_OPS:
            return compare(left, right)
        if isinstance(left, str) and isinstance(right, str):
            self.spend(min(len(left), len(right)) // NODE_CHARACTERS)
            return compare(left, right)
        return compare(left, right) if _is_number(left) and _is_number(right) else None

    def visit_flatten(self, node: Node, value: Any) -> Any:
        """Flatten a list, whose elements count."""
        found = super().visit_flatten(node, value)
        self.spend(0 if found is None else len(found))
        return found

    def visit_slice(self, node: Node, value: Any) -> Any:
        """Return a part of a list, whose elements count."""
        self.spend(len(value) if isinstance(value, list) else 0)
        return super().visit_slice(node, value)


class _Functions(functions.Functions):  # type: ignore[misc]  # the library has no types
    """The library's functions, which count what they work on before they do."""

    def __init__(self, spend: Callable[[int], None], weigh: Callable[[Any], None]) -> None:
        self._spend = spend
        self._weigh = weigh

    def call_function(self, function_name: str, resolved_args: list[Any]) -> Any:
        """Call one function."""
        for argument in resolved_args:
            if isinstance(argument, str):
                self._spend(len(argument) // NODE_CHARACTERS)
            elif isinstance(argument, list | dict) and function_name not in _DEEP:
                self._spend(len(argument))
            elif isinstance(argument, list | dict):
                self._weigh(argument)
        if function_name == "join" and len(resolved_args) == 2:
            self._weigh_separators(*resolved_args)
        return super().call_function(function_name, resolved_args)

    def _weigh_separators(self, separator: Any, items: Any) -> None:
        if isinstance(separator, str) and isinstance(items, list):
            self._spend(len(separator) * len(items) // NODE_CHARACTERS)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
