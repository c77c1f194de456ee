"""The STATUS= line for systemd."""

from tests.daemon.harness import Home, until
from tests.daemon.tables import PARTNER, PX


def test_ready_comes_once_everything_answers_and_says_it_in_words(home: Home) -> None:
    """READY=1 when the socket answers; STATUS= counts the tokens and names those that are not well, and why."""
    home.secret("px-key", "a-wrong-key")
    daemon = home.start(PX + PARTNER)
    assert daemon.get("/livez").status == 200
    until(lambda: any("px (rejected: " in note for note in daemon.notes), "STATUS= with the reason")
    text = [note for note in daemon.notes if note.startswith("STATUS=")][-1]
    assert text.startswith("STATUS=2 tokens, 1 failing: px (rejected: ")
    assert len(text.splitlines()) == 1
    assert daemon.noted("READY=1") == 1
    assert daemon.noted("WATCHDOG") == 0
