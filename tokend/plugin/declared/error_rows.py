"""Rows of a configuration's ``[[errors]]``: what every row has, whatever it is an answer to."""

from collections.abc import Sequence
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from tokend.plugin.declared.answer import Answer
from tokend.plugin.declared.expressions import ExpressionField
from tokend.plugin.settings_base import Duration, Settings


def _statuses(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    if not isinstance(value, list | tuple):
        raise ValueError("expected a status, 201, or several: [200, 201]")  # noqa: TRY004  (pydantic wants it)
    return value


Status = Annotated[int, Field(ge=100, le=599)]
Statuses = Annotated[
    tuple[Status, ...],
    Field(strict=False, min_length=1),
    BeforeValidator(_statuses),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}, "minItems": 1}]}),
]
"""One HTTP status or several."""


def _success_statuses(value: tuple[int, ...]) -> tuple[int, ...]:
    if wrong := [status for status in value if not (200 <= status < 300 or 400 <= status < 500)]:
        raise ValueError(f"{wrong[0]} is no success: a redirect is refused, 5xx is an error of the server")
    return value


SuccessStatuses = Annotated[Statuses, AfterValidator(_success_statuses)]
"""The statuses of answers that are a success."""


class ErrorRow(Settings):
    """The keys of every row. An answer matches if all given conditions hold: ``status``, ``when`` and ``text``.

    ``TokenErrorRow`` and ``StoreErrorRow`` say which text an answer must have, and which errors there are.
    """

    status: Statuses | None = None
    when: ExpressionField | None = None
    text: Annotated[str | None, Field(min_length=1)] = None
    means: str
    pause: Duration | None = None

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
            and (self.text is None or self.has_text(answer, self.text))
            and (self.when is None or answer.holds(self.when))
        )

    def has_text(self, answer: Answer, text: str) -> bool:
        """Return whether an answer has the row's text, where the row says."""
        raise NotImplementedError


Row = TypeVar("Row", bound=ErrorRow)


def matching_row(rows: Sequence[Row], answer: Answer) -> tuple[int, Row] | None:
    """Return the first row that matches, with its number; None if none does. Blocks and raises as `Answer.find`."""
    return next(((number, row) for number, row in enumerate(rows, 1) if row.matches(answer)), None)
