"""Meaning of a store's status: the class of the error, and the operator's message."""

from datetime import UTC, datetime

import pytest

from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.store_status import refuse_write
from tokend.values.errors import SinkError, SinkRejectedError, SinkUnavailableError
from tokend.values.instant import Instant


def refused(status: int, *, word: str | None = None, **headers: str) -> SinkError:
    """The error for a reply whose body quotes a secret."""
    now = Instant(datetime(2026, 1, 1, tzinfo=UTC), 0.0)
    reply = UpstreamReply(status, {k.replace("_", "-"): v for k, v in headers.items()}, b"planted-fake", now, None, 0.0)
    with pytest.raises(SinkError) as raised:
        refuse_write(reply, "vault:app#token", word=word)
    return raised.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, SinkError), (302, SinkError), (400, SinkError), (404, SinkError), (500, SinkError), (502, SinkError),
        (401, SinkRejectedError), (403, SinkRejectedError), (429, SinkUnavailableError), (503, SinkUnavailableError),
    ],
)  # fmt: skip
def test_a_status_decides_the_class(status: int, kind: type[SinkError]) -> None:
    """Exactly this class; the message has target and status, and nothing of the body."""
    error = refused(status)
    assert type(error) is kind
    assert error.detail.startswith(f"vault:app#token: the store answered {status}")
    assert "planted" not in error.detail


def test_the_stores_pause_and_its_word_are_kept() -> None:
    """Retry-After in seconds; the word stands beside the status."""
    error = refused(429, word="throttled", retry_after="120")
    assert isinstance(error, SinkUnavailableError)
    assert error.retry_after == 120
    assert "429 (throttled)" in error.detail
    without = refused(503)
    assert isinstance(without, SinkUnavailableError)
    assert without.retry_after is None
