"""Rows of a provider's ``[[errors]]``: which answers to a request for a token mean which error."""

from collections.abc import Sequence
from typing import Annotated, Literal, NoReturn, Self

from pydantic import Field, field_validator, model_validator

from tokend.plugin.declared.answer import Answer
from tokend.plugin.declared.error_rows import Statuses
from tokend.plugin.declared.expressions import ExpressionField
from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.response_status import retry_after
from tokend.plugin.settings_base import Duration, Settings
from tokend.values.errors import ClockError, LoginRefusedError, RateLimitedError, RejectedError, TransientError

Means = Literal["rejected", "login_required", "rate_limited", "transient", "clock"]
# The whole body of an answer that a row names.
LONGEST_TEXT_BYTES = 200


class AnswerRow(Settings):
    """One row of ``errors``: an answer matches if all given conditions hold.

    ``text`` is the whole body without outer white space. ``pause`` is the time until the next request, for an answer
    without ``Retry-After``.
    """

    status: Statuses | None = None
    when: ExpressionField | None = None
    text: Annotated[str | None, Field(min_length=1)] = None
    means: Means
    pause: Duration | None = None

    @field_validator("text")
    @classmethod
    def _short(cls, value: str | None) -> str | None:
        if value is not None and (size := len(value.encode())) > LONGEST_TEXT_BYTES:
            raise ValueError(f"it is the whole body, at most {LONGEST_TEXT_BYTES} bytes; found {size}")
        return None if value is None else value.strip()

    @model_validator(mode="after")
    def _some_condition(self) -> Self:
        if self.status is None and self.when is None and self.text is None:
            raise ValueError("a row of errors has a condition: status, when or text")
        if self.pause is not None and self.means not in {"rate_limited", "transient"}:
            raise ValueError('pause goes with means = "rate_limited" or "transient"')
        return self

    def matches(self, answer: Answer) -> bool:
        """Return whether an answer is one of this row. Blocks and raises as `Answer.find`."""
        return (
            (self.status is None or answer.status in self.status)
            and (self.text is None or answer.is_whole_text(self.text))
            and (self.when is None or answer.holds(self.when))
        )


# A row with its number, which messages name.
Numbered = tuple[int, AnswerRow]
Rows = Annotated[tuple[AnswerRow, ...], Field(strict=False)]
"""The type of a settings field with rows."""


def matching_row(rows: Sequence[AnswerRow], answer: Answer) -> Numbered | None:
    """Return the first row that matches, with its number; None if none does. Blocks and raises as `Answer.find`."""
    return next(((number, row) for number, row in enumerate(rows, 1) if row.matches(answer)), None)


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
