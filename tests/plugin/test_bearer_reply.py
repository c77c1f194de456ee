"""The usual reply of an upstream as a token."""

import pytest

from tests.upstream.clocks import StandingClock
from tokend.plugin.bearer_reply import bearer_token, reply_object
from tokend.plugin.http_exchange import UpstreamReply
from tokend.values.errors import RejectedError, TransientError

NOW = StandingClock(1_700_000_000).instant()


def answered(body: bytes = b"{}", *, status: int = 200) -> UpstreamReply:
    return UpstreamReply(status, {}, body, NOW, None, 0.0)


def test_an_object_with_status_200_is_returned() -> None:
    """Numbers and nesting as they came."""
    assert reply_object(answered(b'{"token": "t", "n": [1]}'), "host") == {"token": "t", "n": [1]}


def test_any_other_reply_is_an_error_of_the_attempt() -> None:
    """A 401 rejects; a list is no reply of this vendor. The body is not quoted."""
    with pytest.raises(RejectedError):
        reply_object(answered(status=401), "host")
    with pytest.raises(TransientError) as refused:
        reply_object(answered(b'["planted-fake-token"]'), "host")
    assert "planted" not in str(refused.value)


def test_a_token_has_its_header_and_counts_from_the_request() -> None:
    """The life begins before the request left: the upstream began to count later."""
    token = bearer_token(answered(), "fake-token", host="host", expires_in=3600)
    assert token.value.reveal() == "fake-token"
    assert {name: value.reveal() for name, value in token.headers.items()} == {"Authorization": "Bearer fake-token"}
    assert (token.issued_at, token.expires_at) == (NOW, NOW.after(3600))


def test_the_earliest_end_holds() -> None:
    """A member says an hour, another one half of it."""
    half = NOW.after(1800)
    token = bearer_token(answered(), "fake-token", host="host", expires_in=3600, expires_at=int(half.wall.timestamp()))
    assert token.expires_at == half


def test_a_default_counts_only_where_the_reply_names_no_end() -> None:
    """The vendor's documented life."""
    assert bearer_token(answered(), "t", host="host", default_seconds=600).expires_at == NOW.after(600)
    assert bearer_token(answered(), "t", host="host", expires_in=60, default_seconds=600).expires_at == NOW.after(60)


@pytest.mark.parametrize("value", [None, "", 7, "\u00fc", "line\nbreak"])
def test_what_is_no_token_is_an_error(value: object) -> None:
    """The upstream is asked again later."""
    with pytest.raises(TransientError):
        bearer_token(answered(), value, host="host", expires_in=60)
