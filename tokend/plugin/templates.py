"""Rendering of templates over one or more tokens, by a sandboxed Jinja."""

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tokend.machine.late_imports import import_alone
from tokend.values.errors import SinkError
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token, native, shown_extra

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

# Jinja's message about an undefined variable.
_NAME = re.compile(r"'([A-Za-z_][A-Za-z0-9_]*)' is undefined", re.ASCII)


def render(target: str, source: str, lease: Lease, others: Mapping[str, Lease]) -> bytes:
    """Render a template for these tokens as UTF-8.

    The variables are the native JSON's members, ``headers``, ``extra``, and ``tokens``: the same variables of each
    token, by name.
    The filter ``b64`` encodes text or bytes as Base64.
    Raises `SinkError`, which names ``target`` and the template's fault, and quotes no value.
    """
    import_alone("jinja2.sandbox")
    import jinja2

    tokens = {one.name: _members(one) for one in (lease, *others.values())}
    values = {**tokens[lease.name], "tokens": tokens}
    try:
        return environment().from_string(source).render(values).encode()
    except jinja2.TemplateSyntaxError as error:
        raise SinkError(f"{target}: the template's line {error.lineno} is wrong: {error.message}") from None
    except jinja2.UndefinedError as error:
        # A variable's name is text of the template. A key that was looked up may be the token: do not quote it.
        named = _NAME.fullmatch(error.message or "")
        what = f"{named[1]!r}, which is not there" if named else "something that is not there"
        raise SinkError(f"{target}: the template asks for {what}") from None
    except Exception as error:
        # A filter runs on the token, and its message may quote the token.
        raise SinkError(f"{target}: the template failed ({type(error).__name__})") from None


def environment() -> "SandboxedEnvironment":
    """Return the environment of all templates."""
    # Imported here: Jinja takes 4 MB of memory, and few configurations have a template.
    import_alone("jinja2.sandbox")
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    made = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    made.filters["b64"] = _b64
    return made


def _members(lease: Lease) -> dict[str, Any]:
    headers = {name: value.reveal() for name, value in lease.token.headers.items()}
    return {**native(lease), "headers": headers, "extra": _Extra(lease.token)}


class _Extra(dict[str, Any]):
    """The further members of a token. A secret one is there for a template that names it, and not among the others."""

    def __init__(self, token: Token) -> None:
        shown = shown_extra(token).items()
        super().__init__((name, value) for name, value in shown if not isinstance(value, Secret))
        self._secrets = {name: value for name, value in shown if isinstance(value, Secret)}

    def __missing__(self, name: str) -> str:
        return self._secrets[name].reveal()


def _b64(value: object) -> str:
    """Encode text (its UTF-8), bytes or a number as one line of Base64, with padding.

    Raises TypeError for anything else: the words ``None`` or ``{…}`` in Base64 would look like a credential.
    """
    # The text of an undefined variable raises Jinja's own error.
    data = value if isinstance(value, bytes) else str(value).encode()
    if not isinstance(value, str | bytes | int):
        raise TypeError("b64 encodes text and bytes")
    return b64encode(data).decode()
