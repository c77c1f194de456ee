"""Interface to the table of kinds (`tokend.kinds`), and what one load has looked up in it."""

from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel

from tokend.values.errors import ConfigError

M = TypeVar("M", bound=BaseModel)
M_co = TypeVar("M_co", bound=BaseModel, covariant=True)


class KindLookup(Protocol[M_co]):
    """The kinds of providers, or those of sinks. An implementation must not import a class before `get` asks for it."""

    def names(self) -> Sequence[str]:
        """The name of every kind, in the order in which messages list them."""

    def get(self, kind: str) -> type[M_co] | None:
        """The class of ``kind``, None if no kind has this name. Blocks. Raises `ConfigError` if it cannot be used."""


class LoadKinds(Generic[M]):
    """Ask a `KindLookup` once for each name during one load: ten thousand tables may name one kind that is missing."""

    def __init__(self, lookup: KindLookup[M]) -> None:
        self._lookup = lookup
        self._found: dict[str, type[M] | ConfigError | None] = {}
        self._names: Sequence[str] | None = None

    def get(self, kind: str) -> type[M] | ConfigError | None:
        """The class of ``kind``; None if there is none of this name; the error if it cannot be used."""
        if kind not in self._found:
            try:
                self._found[kind] = self._lookup.get(kind)
            except ConfigError as error:
                self._found[kind] = error
        return self._found[kind]

    def names(self) -> Sequence[str]:
        """The name of every kind."""
        if self._names is None:
            self._names = self._lookup.names()
        return self._names

    def usable(self) -> Iterator[type[M]]:
        """Import all kinds; those that cannot be used are left out."""
        for found in map(self.get, self.names()):
            if isinstance(found, type):
                yield found
