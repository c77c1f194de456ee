"""Rows of a store's ``[[errors]]``: which answers to a write mean which error."""

from typing import Literal

from tokend.plugin.declared.answer import Answer
from tokend.plugin.declared.error_rows import ErrorRow

Means = Literal["rejected", "rate_limited", "transient", "conflict"]


class StoreErrorRow(ErrorRow):
    """One row. ``text`` stands somewhere in the body.

    ``pause`` is the time until the next request to the host, for an answer without ``Retry-After``.
    """

    means: Means

    def has_text(self, answer: Answer, text: str) -> bool:
        """Return whether the body contains the text."""
        return answer.contains(text)
