"""A reply as declared kinds read it: its status, headers, text, and its JSON, which is parsed once."""

from typing import Any

from tokend.plugin.declared.expressions import Expression
from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.strict_json import parse_value
from tokend.values.errors import TransientError

# Largest body that is looked into. A token or the state of one secret has a few kilobytes.
LARGEST_BODY_BYTES = 64 * 1024
_NOT_PARSED = object()


class Answer:
    """One reply. ``host`` names the server in messages.

    The methods that read the body block for as long as `Expression.find`: call them in a thread. They raise
    `TransientError` if the body is too large, or an evaluation did not end: the answer is to be discarded.
    """

    __slots__ = ("_document", "host", "problem", "reply")

    def __init__(self, reply: UpstreamReply, host: str) -> None:
        self.reply = reply
        self.host = host
        self._document: Any = _NOT_PARSED
        # What is wrong with the body as JSON, once an expression has asked for it.
        self.problem: str | None = None

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.reply.status

    def find(self, expression: Expression) -> Any:
        """Return what an expression finds in the body. None if it finds nothing, or if the body is no JSON."""
        document = self._parsed()
        return None if document is None else self._named(lambda: expression.find(document))

    def holds(self, expression: Expression) -> bool:
        """Return whether an expression finds something true. False if the body is no JSON."""
        document = self._parsed()
        return document is not None and self._named(lambda: expression.holds(document))

    def contains(self, text: str) -> bool:
        """Return whether the body contains a text."""
        return text.encode() in self._small_body()

    def _named(self, call: Any) -> Any:
        try:
            return call()
        except TransientError as error:
            raise TransientError(f"{self.host}: {error.detail}") from None

    def _small_body(self) -> bytes:
        if len(self.reply.body) > LARGEST_BODY_BYTES:
            raise TransientError(f"{self.host} answered with more than {LARGEST_BODY_BYTES // 1024} KiB: discarded")
        return self.reply.body

    def _parsed(self) -> Any:
        if self._document is _NOT_PARSED:
            body = self._small_body()
            try:
                self._document = parse_value(body, self.host)
            except TransientError as error:
                self._document, self.problem = None, error.detail
        return self._document
