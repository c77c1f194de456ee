"""Interface to the table of kinds (`tokend.kinds`), and a cache of its answers for one load."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel

from tokend.values.errors import ConfigError

M = TypeVar("M", bound=BaseModel)
M_co = TypeVar("M_co", bound=BaseModel, covariant=True)


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """An installed package that offers kinds."""

    name: str
    version: str


class KindLookup(Protocol[M_co]):
    """The kinds of providers, or those of sinks. An implementation must not import a class before `get` asks for it."""

    def names(self) -> Sequence[str]:
        """Return the name of every kind, in the order in which messages list the names."""

    def get(self, kind: str) -> type[M_co] | None:
        """Return the class of ``kind``, None if no kind has this name. Blocks.

        Raises `ConfigError` if the class cannot be imported or used.
        """

    def is_built_in(self, kind: str) -> bool:
        """Return whether a kind is one of tokend's own."""

    def offers(self, kind: str) -> Sequence[str]:
        """Return the "module:Class" of each package that offers a kind."""

    def package(self, kind: str) -> Package | None:
        """Return the package of a kind that `get` has imported; None for tokend's own."""


class LoadKinds(Generic[M]):
    """A cache of a `KindLookup` for one load, errors included: ten thousand tables may name one missing kind.

    `add` brings the kinds of a file. ``lookup`` has those of tokend and of packages.
    """

    def __init__(self, lookup: KindLookup[M]) -> None:
        self.lookup = lookup
        self._added: dict[str, type[M]] = {}
        self._found: dict[str, type[M] | ConfigError | None] = {}
        self._names: Sequence[str] | None = None

    def get(self, kind: str) -> type[M] | ConfigError | None:
        """Return the class of ``kind``; None if no kind has this name; the error if the class cannot be used."""
        if kind not in self._found:
            try:
                self._found[kind] = self.lookup.get(kind)
            except ConfigError as error:
                self._found[kind] = error
        return self._found[kind]

    def add(self, kind: str, model: type[M]) -> None:
        """Add a kind that neither tokend nor a package has."""
        self._added[kind] = self._found[kind] = model
        self._names = None

    def withdraw(self, kind: str) -> None:
        """Let a kind that two places declare be one that no table can use."""
        self._added.pop(kind, None)
        self._found[kind] = self._names = None

    def packages(self, used: Iterable[str]) -> dict[str, Package]:
        """Return the package of each of the ``used`` kinds that is of one."""
        found = ((kind, self.lookup.package(kind)) for kind in used)
        return {kind: package for kind, package in found if package is not None}

    def names(self) -> Sequence[str]:
        """Return the name of every kind."""
        if self._names is None:
            self._names = list(dict.fromkeys([*self.lookup.names(), *sorted(self._added)]))
        return self._names

    def usable(self) -> Iterator[type[M]]:
        """Import all kinds and yield their classes, without the kinds that cannot be used."""
        for found in map(self.get, self.names()):
            if isinstance(found, type):
                yield found
