"""One request with its context, and what a route is."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tokend.api.token_api import TokenApi
from tokend.engine.context.contract import Entry
from tokend.httpd.request import Request
from tokend.httpd.response import Response
from tokend.values.errors import DeniedError


@dataclass(frozen=True, slots=True)
class Call:
    """One request with its context; ``entry`` is the token it names, which the peer may see."""

    service: TokenApi
    request: Request
    query: Mapping[str, str]
    entry: Entry | None = None

    @property
    def token(self) -> Entry:
        """The token that the path names; only for routes below ``/v1/tokens/{name}``."""
        if self.entry is None:
            raise RuntimeError("this route names no token")
        return self.entry

    @property
    def admin(self) -> bool:
        """Whether the peer is an administrator."""
        return self.service.rules.is_admin(self.request.peer)

    def only_admins(self, what: str) -> None:
        """Raise `DeniedError` unless the peer is an administrator; ``what`` completes "only admins may"."""
        if not self.admin:
            raise DeniedError(f"only admins may {what}: your uid {self.request.peer.uid} is none of them")


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path, and the query parameters it knows."""

    handler: Callable[[Call], Awaitable[Response]]
    query: frozenset[str] = frozenset()
