"""Meaning of a store's status: the class of the error, and the operator's message."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.store_status import refuse_write, store_object
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


def test_an_answer_is_one_json_object() -> None:
    """Anything else is an error that names the target and quotes nothing."""
    now = Instant(datetime(2026, 1, 1, tzinfo=UTC), 0.0)

    def read(body: bytes) -> dict[str, Any]:
        return store_object(UpstreamReply(200, {"content-type": "text/html"}, body, now, None, 0.0), "vault:app")

    assert read(b'{"a": [1]}') == {"a": [1]}
    for body in (b"", b"[]", b"<html>planted-fake", b'{"planted-fake": NaN}'):
        with pytest.raises(SinkError, match=r"^vault:app: the store answered with") as refused:
            read(body)
        assert "planted" not in refused.value.detail
