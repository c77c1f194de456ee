"""The scope of one of ``[[sockets]]``: some tokens, and administrators or none."""

from collections.abc import Collection
from dataclasses import dataclass

# The entry of ``tokens`` that stands for every token, also for those of later configurations.
ALL = "*"


@dataclass(slots=True, eq=False)
class SocketScope:
    """The tokens that a socket serves, by name, and whether administrators are administrators there.

    The peers of a socket share the object. A reload changes it, which counts for open connections at once.
    """

    tokens: Collection[str]
    admin: bool = False

    def change(self, tokens: Collection[str], *, admin: bool) -> None:
        """Serve these tokens from now on, with administrators or without."""
        self.tokens, self.admin = tokens, admin

    def has(self, name: str) -> bool:
        """Return whether the socket serves this token."""
        return ALL in self.tokens or name in self.tokens
