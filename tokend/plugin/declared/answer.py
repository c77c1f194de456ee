"""A reply as declared kinds read it: its status, headers, cookies, text, and its JSON, which is parsed once."""

from typing import Any

from tokend.plugin.declared.cookie import Cookie
from tokend.plugin.declared.expressions import Expression
from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.strict_json import parse_value
from tokend.values.errors import TransientError

# Largest body that is looked into. A token or the state of one secret has a few kilobytes.
LARGEST_BODY_BYTES = 64 * 1024
_NOT_PARSED: Any = object()
# The start of a body shows whether it is a page for people.
_START_BYTES = 64


class Answer:
    """One reply. ``host`` names the server in messages; ``document`` is its body where that is parsed already.

    The methods that read the body block for as long as `Expression.find`: call them in a thread. They raise
    `TransientError` if the body is too large, or an evaluation did not end: the answer is to be discarded.
    """

    __slots__ = ("_document", "host", "problem", "reply")

    def __init__(self, reply: UpstreamReply, host: str, document: Any = _NOT_PARSED) -> None:
        self.reply = reply
        self.host = host
        self._document = document
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

    def member(self, name: str) -> str | None:
        """Return a member of the body's object that is a text; None if there is none, or if the body is too large."""
        if len(self.reply.body) > LARGEST_BODY_BYTES:
            return None
        document = self._parsed()
        found = document.get(name) if isinstance(document, dict) else None
        return found if isinstance(found, str) else None

    def is_whole_text(self, text: str) -> bool:
        """Return whether the body is a text, but for outer white space."""
        return self.reply.body.strip() == text.encode()

    def text(self) -> str | None:
        """Return the whole body as text, without outer white space.

        None for a page of HTML, for a JSON object or list, and for no text.
        """
        body = self._small_body()
        try:
            text = body.decode().strip()
        except UnicodeDecodeError:
            return None
        if is_page(self.reply) or (text[:1] in {"{", "["} and self._parsed() is not None):
            return None
        return text or None

    def cookie(self, name: str) -> str | None:
        """Return the value of a cookie that the reply sets, the last one of its name; None if it sets none.

        A cookie that the reply deletes is not set. Cookies of one name with other paths or domains are others; a
        deletion without a path counts for all before it.
        """
        now = self.reply.date or self.reply.sent_at.wall
        set_now: dict[tuple[str, ...], str | None] = {}
        for cookie in map(Cookie, self.reply.cookies):
            if cookie.name == name:
                if cookie.has_ended(now) and not cookie.has_path:
                    set_now.clear()  # of which path, only the request knows
                set_now.pop(cookie.place, None)
                set_now[cookie.place] = None if cookie.has_ended(now) else cookie.value
        values = [value for value in set_now.values() if value is not None]
        return values[-1] or None if values else None

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


def is_page(reply: UpstreamReply) -> bool:
    """Return whether a reply is HTML, or something else that begins like it: a login page, a proxy's, maintenance."""
    media = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    start = reply.body[:_START_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"<") or (media in {"text/html", "application/xhtml+xml"} and not start.startswith(b"{"))
