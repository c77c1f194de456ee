"""Protocols between the HTTP server and the application behind it.

The server reads requests, enforces limits and writes bytes. The application decides what every answer says. All
methods are called in the server's event loop and must not block it.
"""

from dataclasses import dataclass, field
from typing import Protocol

from tokend.access.peer import Peer
from tokend.httpd.problem import RequestError
from tokend.httpd.request import Request
from tokend.httpd.response import Response


class Application(Protocol):
    """A program that answers HTTP requests."""

    async def respond(self, request: Request) -> Response:
        """Answer one complete request. Must raise nothing except cancellation.

        The task is cancelled when the client of a GET or HEAD disconnects, and at shutdown. Every other request runs
        to its end, also if nobody reads the answer.
        """

    def refuse(self, peer: Peer, error: RequestError) -> Response:
        """Answer a request that the server refuses itself: unreadable, too large, or without the port's secret."""

    def log_denial(self, peer: Peer, detail: str) -> None:
        """Write the audit line of a connection that was closed unanswered. The application may limit its lines."""


@dataclass(slots=True, eq=False)
class PreparedAnswer:
    """A complete encoded answer to one exact request text.

    ``public`` answers may go to every peer that can connect; for others the server asks `PreparedAnswers.admits`.
    The server counts in ``hits`` how often it sent the answer.
    """

    content: bytes = field(repr=False)
    public: bool
    hits: int = 0


class PreparedAnswers(Protocol):
    """Answers that the server sends without parsing the request, because the same bytes were answered before."""

    def find(self, text: bytes, /) -> PreparedAnswer | None:
        """Return the answer to a whole request text, or None if there is none or it is out of date.

        This is the hot path: a call here for each read. Must not raise.
        """

    def admits(self, peer: Peer, answer: PreparedAnswer, /) -> bool:
        """Return whether the peer may have an answer that is not ``public``."""

    def remember(self, text: bytes, response: Response, /) -> PreparedAnswer | None:
        """Keep the encoded response, which has a ``basis``, for the next request of the same text.

        The server offers only responses to a plain GET: no query, no body, no conditional or connection headers.
        Returns None if the application declines.
        """

    def sweep(self) -> float:
        """Drop answers that are out of date. Returns after how many seconds to sweep again."""
