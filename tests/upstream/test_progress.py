"""Progress of an exchange: what was written for a proxy is not for the upstream."""

import pytest

from tokend.upstream.progress import Progress


@pytest.mark.parametrize(("proxy", "handshakes"), [(None, 0), ("http://p.example:1", 1), ("https://p.example:1", 2)])
def test_a_request_is_sent_with_the_first_byte_behind_the_proxy(proxy: str | None, handshakes: int) -> None:
    """Each handshake leads nearer to the upstream."""
    progress = Progress.through(proxy)
    for _ in range(handshakes):
        progress.wrote()
        assert not progress.is_sent
        progress.shook_hands()
    progress.wrote()
    assert progress.is_sent
