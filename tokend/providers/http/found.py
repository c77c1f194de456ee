"""Findings of an answer: whether it is a success, which row of ``errors`` knows it, and what is at its places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokend.plugin.declared.answer import Answer, is_page
from tokend.plugin.declared.error_rows import matching_row
from tokend.plugin.declared.token_error_rows import Numbered, TokenErrorRow
from tokend.plugin.declared.token_members import as_secrets, found_secrets
from tokend.plugin.http_exchange import UpstreamReply
from tokend.providers.http.settings import AnswerSettings
from tokend.values.errors import TransientError
from tokend.values.secret import Secret

PLACES = ("token", "token_type", "expires_in", "expires_at", "refresh_token", "refresh_expires_in", "subject")


@dataclass(frozen=True, slots=True)
class Found:
    """What one answer says. Its repr shows no value.

    ``values`` are what is at the places, None where nothing is; of an answer that grants nothing no place is looked up.
    ``secrets`` are those that the answer brings, also where it grants nothing; None if they are not known.
    ``problem`` is what is wrong with a body that is no JSON, where one was looked for. ``code`` is the member ``error``
    of an answer that grants nothing.
    """

    reply: UpstreamReply
    row: Numbered | None
    is_success: bool
    secrets: tuple[Secret, ...] | None = field(repr=False)
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    secret_extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    problem: str | None = None
    code: str | None = field(default=None, repr=False)

    @property
    def is_page(self) -> bool:
        """Whether the body is a page for people."""
        return is_page(self.reply)

    @property
    def is_granted(self) -> bool:
        """Whether it is a success that no row of ``errors`` knows."""
        return self.is_success and self.row is None


def look(answer: Answer, settings: AnswerSettings, rows: Sequence[TokenErrorRow]) -> Found:
    """Look into an answer. Blocks and raises as `Answer.find`."""
    row = matching_row(rows, answer)
    statuses = settings.status
    is_success = 200 <= answer.status < 300 if statuses is None else answer.status in statuses
    is_success = is_success and (settings.success is None or answer.holds(settings.success))
    if row is not None or not is_success:
        brought = _refused_secrets(answer, settings)
        return Found(answer.reply, row, is_success, brought, problem=answer.problem, code=answer.member("error"))
    values = {key: None if (place := getattr(settings, key)) is None else place.value(answer) for key in PLACES}
    extra, secret_extra = (
        {name: place.value(answer) for name, place in places.items()}
        for places in (settings.extra, settings.secret_extra)
    )
    brought = found_secrets(values, secret_extra)
    return Found(answer.reply, row, is_success, brought, values, extra, secret_extra, answer.problem)


def _refused_secrets(answer: Answer, settings: AnswerSettings) -> tuple[Secret, ...] | None:
    """Return the secrets of an answer that grants nothing, for the mask of its words; None if they cannot be found.

    A text of an error is no secret: a place that is the whole text counts in answers of 2xx only.
    """
    places = [settings.token, settings.refresh_token, *settings.secret_extra.values()]
    try:
        return as_secrets(
            place.value(answer)
            for place in places
            if place is not None and (200 <= answer.status < 300 or not place.text_body)
        )
    except TransientError:
        return None
