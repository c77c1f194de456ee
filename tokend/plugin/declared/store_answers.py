"""Meaning of a store's answers as a configuration declares it: success, version, our values, errors."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from pydantic import Field

from tokend.plugin.declared.answer import Answer
from tokend.plugin.declared.error_rows import SuccessStatuses, matching_row
from tokend.plugin.declared.expressions import ExpressionField
from tokend.plugin.declared.places import Place, PlaceField
from tokend.plugin.declared.request import Method, RequestSettings
from tokend.plugin.declared.store_error_rows import StoreErrorRow
from tokend.plugin.response_status import retry_after
from tokend.plugin.settings_base import Settings
from tokend.plugin.store_status import refuse_write
from tokend.values.errors import (
    SinkConflictError,
    SinkError,
    SinkRejectedError,
    SinkUnavailableError,
    TransientError,
)
from tokend.values.secret import Secret

# The answer to a request for what is not there.
GONE = frozenset({404, 410})
# A version is kept in the state and shown in the status.
_VERSION = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,254}[\x21-\x7e])?", re.ASCII)


class WriteAnswer(Settings):
    """The keys about the answer to a write: its status, what must be true, and the store's version."""

    status: SuccessStatuses = (200, 201, 204)
    success: ExpressionField | None = None
    version: PlaceField | None = None

    def places(self) -> Mapping[str, Place]:
        """Return the places of our values, by key; that of a single value has the key ""."""
        return {}


class AbsenceAnswer(WriteAnswer):
    """The keys about the answer to a request for what may not be there.

    ``absent`` holds for an answer that says so, beside the statuses 404 and 410.
    """

    absent: ExpressionField | None = None


class InspectAnswer(AbsenceAnswer):
    """The keys about the answer to `inspect`: also the places of our values."""

    status: SuccessStatuses = (200,)
    value: PlaceField | None = None
    values: dict[str, PlaceField] = Field(default_factory=dict)

    def places(self) -> Mapping[str, Place]:
        """Return the places of our values."""
        return self.values if self.value is None else {"": self.value}


class RemoveAnswer(AbsenceAnswer):
    """The keys about the answer to `remove`."""

    status: SuccessStatuses = (200, 201, 202, 204)


class InspectRequest(RequestSettings):
    """The request that reads our values back."""

    method: Method = "GET"
    answer: InspectAnswer


class RemoveRequest(RequestSettings):
    """The request that removes our values."""

    method: Method = "DELETE"
    answer: RemoveAnswer = Field(default_factory=RemoveAnswer)


class SecondRequest(RequestSettings):
    """A request after a successful write."""

    answer: RemoveAnswer = Field(default_factory=RemoveAnswer)


@dataclass(frozen=True, slots=True)
class Finding:
    """What an answer says: the store's version, and our values by key as far as they are there."""

    version: str | None = None
    values: Mapping[str, Secret] = field(default_factory=dict)


def read_answer(
    answer: Answer,
    settings: WriteAnswer,
    rows: Sequence[StoreErrorRow],
    target: str,
    *,
    absent: Collection[int] = (),
    conflict: Collection[int] = (),
) -> Finding | None:
    """Return what an answer says. None for nothing, as for a status of ``absent``, if no row knows it.

    Blocks. Raises the `SinkError` of the first row that matches, `SinkConflictError` for a status of ``conflict``,
    and the `SinkError` of the status for any other answer that is no success.
    """
    try:
        if (numbered := matching_row(rows, answer)) is not None:
            _refuse_by_row(numbered, answer, target)
        if answer.status in absent and answer.status not in settings.status:
            return None
        if isinstance(settings, AbsenceAnswer) and settings.absent is not None and answer.holds(settings.absent):
            return None
        if answer.status in conflict and answer.status not in settings.status:
            raise SinkConflictError(f"{target}: the store answered {answer.status}: another writer has changed it")
        if answer.status not in settings.status:
            refuse_write(answer.reply, target)
        if settings.success is not None and not answer.holds(settings.success):
            why = answer.problem or f"the store answered {answer.status}, and answer.success does not hold"
            raise SinkError(f"{target}: {why}")
        found = {key: place.text(answer) for key, place in settings.places().items()}
        if found and answer.problem is not None:
            raise SinkError(f"{target}: {answer.problem}")
        version = None if settings.version is None else settings.version.text(answer)
    except TransientError as error:
        raise SinkError(f"{target}: {error.detail}") from None
    usable = None if version is None or not _VERSION.fullmatch(version) else version
    return Finding(usable, {key: Secret(text) for key, text in found.items() if text is not None})


def _refuse_by_row(numbered: tuple[int, StoreErrorRow], answer: Answer, target: str) -> NoReturn:
    number, row = numbered
    said = f"{target}: the store answered {answer.status}; row {number} of errors says {row.means}"
    if row.means == "rejected":
        raise SinkRejectedError(said)
    if row.means == "conflict":
        raise SinkConflictError(said)
    if row.means == "rate_limited" or row.pause is not None:
        pause = None if row.pause is None else row.pause.total_seconds()
        raise SinkUnavailableError(said, retry_after=retry_after(answer.reply) or pause)
    raise SinkError(said)
