"""The table of odd answers in docs/decisions/0027: tokend's column is what tokend does."""

import pytest

from tests.docs.pages import ROOT
from tests.providers.oauth2.logins import refresh
from tests.upstream.loopback import reply
from tokend.values.errors import AttemptError, LoginRefusedError, LostAnswerError, TransientError
from tokend.values.logins import Granted

PAGE = ROOT / "docs/decisions/0027-no-oauth-library.md"
TOKEN, REFRESH, LIFE = '"access_token":"fake","token_type":"Bearer"', '"refresh_token":"r2"', '"expires_in":3600'
ANSWERS = {
    "`expires_in: true`": f'{{{TOKEN},{REFRESH},"expires_in":true}}',
    "`expires_in: -1`": f'{{{TOKEN},{REFRESH},"expires_in":-1}}',
    "`expires_in: NaN`": f'{{{TOKEN},{REFRESH},"expires_in":NaN}}',
    '`expires_in: "3600abc"`': f'{{{TOKEN},{REFRESH},"expires_in":"3600abc"}}',
    "`expires_in: 1e309`": f'{{{TOKEN},{REFRESH},"expires_in":1e309}}',
    "`expires_in: 0`": f'{{{TOKEN},{REFRESH},"expires_in":0}}',
    "no `expires_in`": f"{{{TOKEN},{REFRESH}}}",
    '`expires_in: "3600"`': f'{{{TOKEN},{REFRESH},"expires_in":"3600"}}',
    "`expires_in` of 5,000 digits": f'{{{TOKEN},{REFRESH},"expires_in":{"9" * 5000}}}',
    '`refresh_token: ""`': f'{{{TOKEN},{LIFE},"refresh_token":""}}',
    "`refresh_token: null`": f'{{{TOKEN},{LIFE},"refresh_token":null}}',
    "`refresh_token: 5`": f'{{{TOKEN},{LIFE},"refresh_token":5}}',
    "no `token_type`": f'{{"access_token":"fake",{REFRESH},{LIFE}}}',
    "`error: invalid_grant` alone": '{"error":"invalid_grant"}',
    "a form instead of JSON": "access_token=fake&token_type=bearer&expires_in=3600&refresh_token=r2",
    "`access_token` twice": f'{{"access_token":"other",{TOKEN},{REFRESH},{LIFE}}}',
    "a page of HTML": "<html>Please sign in</html>",
    "a line break in `access_token`": f'{{"access_token":"fa\\nke","token_type":"Bearer",{REFRESH},{LIFE}}}',
    '`access_token: ""`': f'{{"access_token":"","token_type":"Bearer",{REFRESH},{LIFE}}}',
}
MEDIA = {"a form instead of JSON": "application/x-www-form-urlencoded", "a page of HTML": "text/html"}


def rows() -> dict[str, str]:
    """Return the table's last column by its first."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[0]: row[-1] for row in cells}


def in_words(outcome: Granted | AttemptError) -> str:
    """Describe what came of a refresh as the table does."""
    if isinstance(outcome, LostAnswerError):
        return "a lost answer: r1 again"
    if isinstance(outcome, LoginRefusedError):
        return "refused"
    if not isinstance(outcome, Granted):
        assert isinstance(outcome, TransientError)
        return "decides nothing, r1 kept"
    kept = "r1 kept" if outcome.refresh_token is None else f"{outcome.refresh_token.reveal()} kept"
    if outcome.token is None:
        return f"discarded, {kept}"
    if outcome.token.expires_at is None:
        return "a token without an end, with a remark"
    return "accepted" if kept == "r2 kept" else f"accepted, {kept}"


def test_the_page_has_all_nineteen_answers() -> None:
    """In the order of the page."""
    assert list(rows()) == list(ANSWERS)
    assert len(ANSWERS) == 19


@pytest.mark.parametrize("name", ANSWERS)
def test_the_page_says_what_tokend_does_with_an_odd_answer(name: str) -> None:
    """One refresh at a server that answers so."""
    media = {"Content-Type": MEDIA.get(name, "application/json")}
    outcome, _ = refresh(reply(ANSWERS[name].encode(), headers=media))
    assert in_words(outcome) == rows()[name]
