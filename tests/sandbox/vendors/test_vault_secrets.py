"""The KV engine of Vault as the sandbox plays it."""

from typing import Any

from tests.sandbox.player import Answer, Play
from tests.sandbox.vendors.test_vault import token_of

PATH = "/v1/secret/data/team/app"
METADATA = "/v1/secret/metadata/team/app"
PATCH = {"Content-Type": "application/merge-patch+json"}


def test_a_secret_has_versions_and_check_and_set(play: Play) -> None:
    """As KV version 2 answers. Without a token everything is refused."""
    player = play()
    headers = token_of(player)
    path = PATH
    assert player.call("GET", path, headers=headers).status == 404
    assert player.call("POST", path, {"data": {"a": "1"}, "options": {"cas": 0}}, headers=headers).status == 200
    assert player.call("POST", path, {"data": {"a": "2"}, "options": {"cas": 0}}, headers=headers).status == 400
    assert player.call("POST", path, {"data": "x"}, headers=headers).status == 400
    assert player.call("POST", path, {"data": {"a": "2"}}, headers=headers).json["data"]["version"] == 2
    assert player.call("GET", path, headers=headers).json["data"]["data"] == {"a": "2"}
    assert player.call("GET", path).status == 403
    assert player.call("GET", "/v1/secret/data/").status == 404


def test_a_patch_changes_single_keys(play: Play) -> None:
    """On top of the version that it names; null removes a key. A secret that is missing is not made."""
    player = play()
    headers = {**token_of(player), **PATCH}

    def patch(data: dict[str, Any], cas: int) -> Answer:
        return player.call("PATCH", PATH, {"data": data, "options": {"cas": cas}}, headers=headers)

    assert patch({"a": "1"}, 0).status == 404
    player.call("POST", PATH, {"data": {"a": "1", "b": "2"}}, headers=headers)
    assert patch({"a": "3"}, 0).status == 400
    assert patch({"a": "3", "b": None}, 1).json["data"]["version"] == 2
    assert player.call("GET", PATH, headers=headers).json["data"]["data"] == {"a": "3"}
    assert player.call("DELETE", PATH, headers=headers).status == 405


def test_metadata_has_the_current_version_and_entries_of_clients(play: Play) -> None:
    """They are there once the secret is; a patch changes single entries."""
    player = play()
    headers = {**token_of(player), **PATCH}
    assert player.call("GET", METADATA, headers=headers).status == 404
    player.call("POST", PATH, {"data": {"a": "1"}}, headers=headers)
    for entries in ({"x": "1", "y": "2"}, {"x": None, "z": "3"}):
        assert player.call("PATCH", METADATA, {"custom_metadata": entries}, headers=headers).status == 204
    about = player.call("GET", METADATA, headers=headers).json["data"]
    assert (about["current_version"], about["custom_metadata"]) == (1, {"y": "2", "z": "3"})
    assert player.call("PATCH", METADATA, {}, headers=headers).status == 400
    assert player.call("GET", METADATA).status == 403
