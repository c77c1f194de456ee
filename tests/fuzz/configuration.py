"""Input of the administrator: configurations, and templates of sinks."""

import re
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.config.written import loaded, written
from tests.sinks.leases import PLANTED as TOKEN
from tests.sinks.leases import lease
from tokend.config import InvalidConfigError
from tokend.plugin.declared.expressions import Expression
from tokend.sinks.files.template import TemplateSink
from tokend.values.errors import SinkError, TransientError

PLANTED = "hunter2-obviously-fake"
# Places of a literal secret in the file.
SECRET_KEYS = frozenset({"secret", "api_key", "api_secret", "client_secret", "username", "initial_token"})
_SECRET_LINE = re.compile(rf"\s*(({'|'.join(SECRET_KEYS)})\s*=.*|['\"]*{PLANTED}['\"]*\s*)", re.DOTALL)


def config(data: bytes) -> None:
    """Any bytes as a configuration: accepted, or errors with a place each, in which no secret stands."""
    with tempfile.TemporaryDirectory(prefix="tk-") as directory:
        path = written(Path(directory), data)
        try:
            found = loaded(path)
        except InvalidConfigError as error:
            shown = str(error)
            assert error.errors
            lines = data.decode("utf-8", "replace").count("\n") + 1
            for problem in error.errors:
                assert 1 <= problem.line <= lines
                assert problem.column >= 1
                assert problem.message.isprintable()
                assert len(str(problem).split("\n")) in {1, 3}
        else:
            shown = repr(found) + "".join(map(str, found.warnings))
    if _is_secret_in(data):
        assert PLANTED not in shown, shown
        assert PLANTED[-12:] not in shown, shown


def expressions(data: bytes) -> None:
    """Any text as an expression: refused with a sentence, or applied to an answer without an exception."""
    try:
        expression = Expression(data.decode("utf-8", "replace"))
    except ValueError as error:
        assert str(error).isprintable()
    else:
        with suppress(TransientError):
            expression.holds({"a": [{"b": 1, "c": "text"}, {"b": None}], "d": {"e": [True, 2.5, "x" * 300]}})


def template(data: bytes) -> None:
    """Any template of an administrator who means no harm: text, or the template's fault, without the token."""
    source = data.decode("utf-8", "replace")
    if any(word in source for word in ("for", "*", "range", "macro", "lipsum", "center", "indent", "wordwrap", "%0")):
        return  # it may take for ever, by its author's wish
    sink = TemplateSink.model_validate({"kind": "template", "path": "/fuzzed", "template": source})
    try:
        sink.render(lease())
    except SinkError as error:
        assert TOKEN not in error.detail
        assert error.detail.startswith("/fuzzed: the template")


def _is_secret_in(data: bytes) -> bool:
    """Return whether what is planted stands where secrets are expected, and nowhere else."""
    try:
        document = tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        # Broken anywhere: then the line says that a secret follows, or is inside of one.
        lines = [line for line in data.decode("utf-8", "replace").split("\n") if PLANTED[-12:] in line]
        return all(_SECRET_LINE.fullmatch(line) for line in lines)
    places = [path for path, text in _texts(document, ()) if PLANTED[-12:] in text]
    return all(path[-1] in SECRET_KEYS for path in places)


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each text, and each key as a text of its own."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, "a key"), key
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, path or ("",))
    else:
        yield path, str(value)
