"""A browser at the pages of the sandbox's OAuth 2 server."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.counterparts.chromium import Chromium
from tests.sandbox.browsing import APP, authorize_url, post, redeem
from tests.sandbox.player import Player
from tests.small_server import QuietHandler, serving
from tokend.sandbox import Options, start


@pytest.fixture
def player() -> Iterator[Player]:
    with start(Options(oauth2_device_interval=0.001)) as sandbox:
        yield Player(sandbox)


@pytest.mark.parametrize(("button", "sent"), [("#allow", "code"), ("#deny", "error")])
def test_a_browser_is_sent_back_after_the_consent(chromium: Chromium, player: Player, button: str, sent: str) -> None:
    """What the pages forbid a browser does not include the redirect."""
    came: list[str] = []

    class Client(QuietHandler):
        """The client that waits for the browser."""

        def get(self) -> None:
            came.append(self.path)
            self.reply(200, "you can close this page")

    with serving(Client) as client:
        chromium.open(player.sandbox.url + authorize_url(redirect_uri=f"{client}/callback"))
        chromium.type("input[name=account]", "fake-person")
        chromium.click(button)
        chromium.wait_for("document.body.innerText.includes('you can close this page')")
    given = parse_qs(urlsplit(came[0]).query)
    assert set(given) == {sent, "state", "iss"}
    if sent == "code":
        assert redeem(player, given["code"][0], redirect_uri=f"{client}/callback").status == 200
    people = [one["subject"] for one in player.control("oauth2").json["grants"]]
    assert people[1:] == (["fake-person"] if sent == "code" else [])


def test_a_device_is_connected_in_a_browser(chromium: Chromium, player: Player) -> None:
    """The code is typed by hand."""
    begun = post(player, "/oauth2/device_authorization", {"client_id": APP}).json
    chromium.open(begun["verification_uri"])
    chromium.type("input[name=user_code]", begun["user_code"])
    chromium.click("button")
    chromium.click("#allow")
    chromium.wait_for("document.body.innerText.includes('The device has access now')")
    assert [one["subject"] for one in player.control("oauth2").json["grants"]] == ["sandbox-person"] * 2
