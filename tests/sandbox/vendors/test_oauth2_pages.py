"""The pages of the sandbox's OAuth 2 server."""

from tests.sandbox.browsing import authorize, decide, sent_back
from tests.sandbox.player import Play
from tokend.sandbox.vendors import oauth2_pages as pages


def test_what_a_page_shows_is_text_and_never_markup() -> None:
    """Names come from the request."""
    shown = pages.form("/x", "<b>client</b>", [("a", '"><i>')], '" account', ["<scope>"]).body.decode()
    for part in ("<b>client", '"><i>', '" account', "<scope>"):
        assert part not in shown
    assert b"<script>" not in pages.says("<script>", "<script>").body


def test_a_page_is_kept_nowhere_and_runs_nothing(play: Play) -> None:
    """No script, no frame, no cache, no referrer."""
    headers = authorize(play()).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")


def test_the_query_of_a_redirect_is_kept(play: Play) -> None:
    """A redirect address may have a query of its own."""
    player = play()
    back = sent_back(decide(player, authorize(player, redirect_uri="http://127.0.0.1:7/callback?own=1")))
    assert (back["own"], "code" in back) == ("1", True)
