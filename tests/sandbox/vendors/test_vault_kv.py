"""Secrets of the KV engine as the sandbox plays it, also by the real sink."""

from typing import Any

from tests.daemon.harness import at_home, until
from tests.sandbox.player import Play, Player
from tests.sandbox.vendors.test_vault import token_of

DATA, METADATA = "/v1/secret/data/team/app", "/v1/secret/metadata/team/app"


def asked(player: Player, method: str, path: str, body: Any = None) -> Any:
    """The status and the JSON of an answer, with a new token."""
    answer = player.call(method, path, body, headers=token_of(player))
    return answer.status, answer.json if answer.body else None


def test_a_patch_changes_its_own_members_on_top_of_a_version(play: Play) -> None:
    """With compare-and-set; without a current version there is nothing to patch."""
    player = play()
    assert asked(player, "PATCH", DATA, {"data": {"a": "1"}})[0] == 404
    assert asked(player, "POST", DATA, {"data": {"a": "1", "b": "2"}, "options": {"cas": 0}})[0] == 200
    assert asked(player, "PATCH", DATA, {"data": {"a": "3"}, "options": {"cas": 0}})[0] == 400
    assert asked(player, "PATCH", DATA, {"data": {"a": "3", "b": None}, "options": {"cas": 1}})[0] == 200
    assert asked(player, "GET", DATA)[1]["data"]["data"] == {"a": "3"}
    assert asked(player, "DELETE", DATA) == (204, None)
    status, answer = asked(player, "GET", DATA)
    assert (status, answer["data"]["data"], answer["data"]["metadata"]["version"]) == (404, None, 2)
    assert asked(player, "PATCH", DATA, {"data": {"a": "4"}})[0] == 404


def test_metadata_has_versions_and_entries_of_its_own(play: Play) -> None:
    """Entries are patched; a destroyed version says so."""
    player = play()
    assert asked(player, "GET", METADATA)[0] == 404
    for value in ("1", "2"):
        asked(player, "POST", DATA, {"data": {"a": value}})
    assert asked(player, "PATCH", METADATA, {"custom_metadata": {"owner": "x", "old": "y"}})[0] == 204
    assert asked(player, "PATCH", METADATA, {"custom_metadata": {"old": None}})[0] == 204
    assert asked(player, "POST", "/v1/secret/destroy/team/app", {"versions": [1, 9]})[0] == 204
    described = asked(player, "GET", METADATA)[1]["data"]
    assert described["custom_metadata"] == {"owner": "x"}
    assert described["current_version"] == 2
    assert [described["versions"][number]["destroyed"] for number in ("1", "2")] == [True, False]
    assert asked(player, "GET", DATA)[1]["data"]["metadata"]["custom_metadata"] == {"owner": "x"}
    assert asked(player, "DELETE", METADATA)[0] == 405


SINK = """
[providers.partner]
kind = "jwt"
ttl = "1h"
jti = true
secret = "obviously-fake-and-long-enough-for-HS256"
[[providers.partner.sinks]]
kind = "vault"
address = "{url}"
path = "app"
auth = {{ file = "s/vault" }}
"""


def test_the_real_sink_writes_again_and_again() -> None:
    """Two tokens, each a version; another program's member stays; the status is without a remark."""
    with at_home() as home:
        player = Player(home.sandbox)
        asked(player, "POST", "/v1/secret/data/app", {"data": {"theirs": "kept"}})
        home.secret("vault", token_of(player)["X-Vault-Token"])
        daemon = home.start(SINK)

        def held() -> Any:
            return asked(player, "GET", "/v1/secret/data/app")[1]["data"]["data"]

        until(lambda: held().get("token") == daemon.lease("partner")["access_token"])
        first = held()["token"]
        daemon.ask("POST", "/v1/tokens/partner/refresh")
        until(lambda: held().get("token") not in {None, first})
        assert held()["theirs"] == "kept"
        until(lambda: daemon.row("partner")["sinks"][0]["store_version"] == "3")
        assert daemon.row("partner")["sinks"][0]["remark"] is None
