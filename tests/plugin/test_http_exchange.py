"""Values of an HTTP exchange."""

from datetime import UTC, datetime

from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.values.instant import Instant
from tokend.values.secret import Secret

NOW = Instant(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)
PLANTED = "planted-fake-secret"


def test_the_repr_shows_neither_headers_nor_bodies() -> None:
    """Both hold secrets, also those that are no `Secret`."""
    request = UpstreamRequest(
        "POST", "https://one/login", {"x-api-key": Secret(PLANTED), "x-user": PLANTED}, PLANTED.encode()
    )
    reply = UpstreamReply(200, {"set-cookie": PLANTED}, PLANTED.encode(), NOW, None, 0.0)
    assert repr(request) == "UpstreamRequest(method='POST', url='https://one/login')"
    assert "status=200" in repr(reply)
    assert PLANTED not in repr(reply)
