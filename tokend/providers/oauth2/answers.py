"""Answers of a server: parsed once, and looked into for the places and rows that the settings name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from tokend.plugin.declared.answer import Answer as DeclaredAnswer
from tokend.plugin.declared.answer import is_page
from tokend.plugin.declared.error_rows import matching_row
from tokend.plugin.declared.evaluation import evaluated
from tokend.plugin.declared.token_error_rows import Numbered, TokenErrorRow
from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.provider import Runtime
from tokend.plugin.strict_json import parse_value
from tokend.providers.oauth2.declared_answer import PLACES, AnswerSettings
from tokend.values.errors import TransientError

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. ``document`` is its JSON or its form as an object; None if it is neither. Its repr shows neither.

    ``values`` are what is at the places of `PLACES`, and ``extra``, ``secret_extra``: None where nothing is. ``row`` is
    the first row of ``errors`` that matches, with its number.
    """

    reply: UpstreamReply
    document: Any = field(repr=False)
    values: Mapping[str, Any] = field(repr=False)
    extra: Mapping[str, Any] = field(repr=False)
    secret_extra: Mapping[str, Any] = field(repr=False)
    row: Numbered | None = None

    @property
    def is_page(self) -> bool:
        """Whether the body is a page for people: a login page, a proxy's, maintenance."""
        return is_page(self.reply)

    @property
    def is_granted(self) -> bool:
        """Whether it is a success with something at the place of the token."""
        return 200 <= self.reply.status < 300 and self.values["token"] is not None

    @property
    def code(self) -> str | None:
        """The server's ``error``; None if there is none."""
        found = self.document.get("error") if isinstance(self.document, dict) else None
        return found if isinstance(found, str) and found else None


async def read_answer(
    reply: UpstreamReply, runtime: Runtime, settings: AnswerSettings, rows: tuple[TokenErrorRow, ...], host: str
) -> Answer:
    """Parse an answer and find its values. Expressions are evaluated in a thread.

    Raises `TransientError` if an evaluation does not end: the answer is discarded.
    """
    look = partial(_read, reply, settings, rows, host)
    if settings.has_places or any(row.when is not None for row in rows):
        return await evaluated(runtime, look, host)
    return look()


def parsed(reply: UpstreamReply) -> Any:
    """Return a reply's JSON, or its form as an object of texts; None if it is neither."""
    try:
        return parse_value(reply.body, "")
    except TransientError:
        return _form(reply)


def _form(reply: UpstreamReply) -> dict[str, str] | None:
    """Return a form-encoded body. Some servers call it text/plain or text/html: then a known name is needed."""
    media = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in {FORM, "text/plain", "text/html", ""}:
        return None
    try:
        text = reply.body.decode("ascii").strip()
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError:
        return None
    found = dict(pairs)
    is_known = media == FORM or not found.keys().isdisjoint({"access_token", "error", "device_code"})
    return found if is_known and len(found) == len(pairs) else None


def _read(reply: UpstreamReply, settings: AnswerSettings, rows: tuple[TokenErrorRow, ...], host: str) -> Answer:
    document = parsed(reply)
    whole = DeclaredAnswer(reply, host, document)
    row = matching_row(rows, whole)
    values = {key: _value(settings, key, whole, document) for key in PLACES}
    extra, secret_extra = (
        {name: one.value(whole) for name, one in places.items()} for places in (settings.extra, settings.secret_extra)
    )
    return Answer(reply, document, values, extra, secret_extra, row)


def _value(settings: AnswerSettings, key: str, whole: DeclaredAnswer, document: Any) -> Any:
    if (place := settings.place(key)) is not None:
        return place.value(whole)
    if not isinstance(document, dict):
        return None
    return next((document[name] for name in PLACES[key] if document.get(name) is not None), None)
