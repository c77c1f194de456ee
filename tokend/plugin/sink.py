"""The interface of a sink kind."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeGuard, runtime_checkable

from tokend.plugin.protocol_check import implements
from tokend.values.tokens import Lease


class Destination(Protocol):
    """Where a sink's token goes, whichever way."""

    @property
    def kind(self) -> str:
        """The sink's kind."""

    @property
    def target(self) -> str:
        """Its name for status and messages: a path."""

    @property
    def required(self) -> bool:
        """Whether it counts for readiness."""


class Sink(Destination, Protocol):
    """A place that a token is pushed to: a `SinkSettings` model with these methods. They block; all or nothing.

    They run in a thread, one at a time per target. They must not retry or log, and must leave the target as it was
    when they raise `SinkError`.
    """

    def write(self, lease: Lease) -> bool:
        """Make the target hold this token. True if it changed, False if it held it already."""

    def remove(self) -> bool:
        """Take the token away, as ``on_expiry = "remove"`` asks. True if there was something to take away."""

    def probe(self) -> None:
        """Raise `SinkError` where a write would fail for a reason that can be seen now (missing directory, …)."""

    def announce(self) -> None:
        """Do what the settings ask after a successful change (run a command, send a signal, reload a unit)."""


@runtime_checkable
class CombiningSink(Sink, Protocol):
    """A sink whose content is made of several tokens: it is written when any of them changes, while all are valid."""

    @property
    def tokens(self) -> Sequence[str]:
        """The names of the others."""

    def write_all(self, lease: Lease, others: Mapping[str, Lease]) -> bool:
        """`write` with the others' tokens, by name."""


@runtime_checkable
class ListeningSink(Destination, Protocol):
    """A sink that is asked instead of written to: a `SinkSettings` model that says where, and what a client is sent.

    It opens nothing itself: who serves it is decided by the composition root.
    """

    @property
    def path(self) -> Path:
        """The socket's path."""

    @property
    def mode(self) -> str:
        """Its mode, octal."""

    @property
    def owner(self) -> str | None:
        """Its owner, a name or a number; None for the daemon's user."""

    @property
    def group(self) -> str | None:
        """Its group, a name or a number; None for the daemon's."""

    def offer(self, lease: Lease) -> bytes:
        """What a client is sent."""


def is_combining(sink: object) -> TypeGuard[CombiningSink]:
    """Tell whether a sink's content is made of several tokens."""
    return implements(sink, CombiningSink)


def is_listening(sink: object) -> TypeGuard[ListeningSink]:
    """Tell whether a sink is asked instead of written to."""
    return implements(sink, ListeningSink)
