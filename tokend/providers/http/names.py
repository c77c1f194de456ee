"""Names in ``{…}`` of a table of kind ``http``: which of them are secrets that are sent, and where."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Protocol

from tokend.plugin.declared.computed_value import ComputedValue
from tokend.plugin.declared.placeholders import Value
from tokend.plugin.declared.request import RequestSettings
from tokend.plugin.declared.token_answer import TokenAnswerSettings
from tokend.plugin.declared.token_members import as_values
from tokend.plugin.secret_source import SecretSource
from tokend.values.tokens import Token

Values = Mapping[str, ComputedValue]


class Named(Protocol):
    """A table with names."""

    @property
    def named_secrets(self) -> Mapping[str, SecretSource]:
        """The secrets."""

    @property
    def values(self) -> Values:
        """The computed values."""

    @property
    def request(self) -> RequestSettings:
        """The request."""


def of_token(members: Iterable[str]) -> list[str]:
    """Return the names that a held token brings: its own, and those of its further members."""
    return ["token", *(f"extra.{name}" for name in members)]


def held_values(answer: TokenAnswerSettings, token: Token | None) -> dict[str, Value]:
    """Return what a held token brings by the names of ``renew``; None for each member of ``answer`` that it lacks."""
    lacking: dict[str, Value] = {f"extra.{name}": None for name in (*answer.extra, *answer.secret_extra)}
    return {**lacking, **({} if token is None else as_values(token))}


def is_of_token(name: str) -> bool:
    """Return whether a name is one of a held token."""
    return name == "token" or name.startswith("extra.")


def sent_secrets(settings: Named) -> frozenset[str]:
    """Return the names of the secrets that the request sends: they stand in it, as they are or encoded."""
    return reached((name for _, name in settings.request.names()), settings.values) & settings.named_secrets.keys()


def names_in_url(settings: Named, request: RequestSettings) -> Iterator[tuple[str, str]]:
    """Yield the key and the name of each secret that stands in a URL, as it is or encoded."""
    for where, name in request.names():
        if where[0] not in {"url", "query"}:
            continue
        found = reached([name], settings.values)
        if any(is_of_token(one) or one in settings.named_secrets for one in found):
            yield ".".join(map(str, where)), name


def reached(names: Iterable[str], values: Values) -> frozenset[str]:
    """Return the names, and those of values that only encode: a hash shows nothing of what it is made of."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        if (name := waiting.pop()) in found:
            continue
        found.add(name)
        value = values.get(name)
        if value is not None and value.hash is None and not value.is_hidden:
            waiting += _plain(value)
    return frozenset(found)


def _plain(value: ComputedValue) -> Collection[str]:
    return [part.name for part in value.parts if part.name is not None]
