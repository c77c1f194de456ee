"""Rows of a provider's ``[[errors]]``: which answers to a request for a token mean which error."""

from typing import Annotated, Literal, NoReturn

from pydantic import Field, field_validator

from tokend.plugin.declared.answer import Answer
from tokend.plugin.declared.error_rows import ErrorRow
from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.response_status import retry_after
from tokend.values.errors import ClockError, LoginRefusedError, RateLimitedError, RejectedError, TransientError

Means = Literal["rejected", "login_required", "rate_limited", "transient", "clock"]
# The whole body of an answer that a row names.
LONGEST_TEXT_BYTES = 200


class TokenErrorRow(ErrorRow):
    """One row. ``text`` is the whole body without outer white space.

    ``pause`` is the time until the next request, for an answer without ``Retry-After``.
    """

    means: Means

    @field_validator("text")
    @classmethod
    def _short(cls, value: str | None) -> str | None:
        if value is not None and (size := len(value.encode())) > LONGEST_TEXT_BYTES:
            raise ValueError(f"it is the whole body, at most {LONGEST_TEXT_BYTES} bytes; found {size}")
        return None if value is None else value.strip()

    def has_text(self, answer: Answer, text: str) -> bool:
        """Return whether the text is the body."""
        return answer.is_whole_text(text)


# A row with its number, which messages name.
Numbered = tuple[int, TokenErrorRow]
Rows = Annotated[tuple[TokenErrorRow, ...], Field(strict=False)]
"""The type of a settings field with rows."""


def raise_for_row(numbered: Numbered, reply: UpstreamReply, host: str) -> NoReturn:
    """Raise the error that a row means."""
    number, row = numbered
    pause = retry_after(reply) or (None if row.pause is None else row.pause.total_seconds())
    said = f"{host} answered {reply.status}; row {number} of errors says {row.means}"
    if row.means == "rejected":
        raise RejectedError(said)
    if row.means == "login_required":
        raise LoginRefusedError(said)
    if row.means == "rate_limited":
        raise RateLimitedError(said, retry_after=pause)
    if row.means == "clock":
        raise ClockError(said, offset=reply.offset)
    raise TransientError(said, retry_after=pause)
