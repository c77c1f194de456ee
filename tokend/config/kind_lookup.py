"""Interface to the table of kinds (`tokend.kinds`), and a cache of its answers for one load."""

from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel

from tokend.values.errors import ConfigError

M = TypeVar("M", bound=BaseModel)
M_co = TypeVar("M_co", bound=BaseModel, covariant=True)


class KindLookup(Protocol[M_co]):
    """The kinds of providers, or those of sinks. An implementation must not import a class before `get` asks for it."""

    def names(self) -> Sequence[str]:
        """Return the name of every kind, in the order in which messages list the names."""

    def get(self, kind: str) -> type[M_co] | None:
        """Return the class of ``kind``, None if no kind has this name. Blocks.

        Raises `ConfigError` if the class cannot be imported or used.
        """


class LoadKinds(Generic[M]):
    """A cache of a `KindLookup` for one load, errors included: ten thousand tables may name one missing kind."""

    def __init__(self, lookup: KindLookup[M]) -> None:
        self._lookup = lookup
        self._found: dict[str, type[M] | ConfigError | None] = {}
        self._names: Sequence[str] | None = None

    def get(self, kind: str) -> type[M] | ConfigError | None:
        """Return the class of ``kind``; None if no kind has this name; the error if the class cannot be used."""
        if kind not in self._found:
            try:
                self._found[kind] = self._lookup.get(kind)
            except ConfigError as error:
                self._found[kind] = error
        return self._found[kind]

    def names(self) -> Sequence[str]:
        """Return the name of every kind."""
        if self._names is None:
            self._names = self._lookup.names()
        return self._names

    def usable(self) -> Iterator[type[M]]:
        """Import all kinds and yield their classes, without the kinds that cannot be used."""
        for found in map(self.get, self.names()):
            if isinstance(found, type):
                yield found
