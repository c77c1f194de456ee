"""Discovery of the sandbox's OAuth 2 server."""

import pytest

from tests.sandbox.player import Play


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server/oauth2",
        "/oauth2/.well-known/openid-configuration",
    ],
)
def test_both_kinds_of_discovery_name_the_same_server(play: Play, path: str) -> None:
    """RFC 8414 and OpenID: the issuer is byte for byte the one that was asked for, and every endpoint answers."""
    player = play()
    found = player.call("GET", path).json
    issuer = f"{player.sandbox.url}/oauth2"
    assert (found["issuer"], found["token_endpoint"]) == (issuer, f"{issuer}/token")
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["authorization_response_iss_parameter_supported"] is True
    endpoints = [url for name, url in found.items() if name.endswith(("_endpoint", "_uri"))]
    assert len(endpoints) == 6
    for url in endpoints:
        assert player.call("GET", url.removeprefix(player.sandbox.url)).status != 404, url


def test_the_resource_names_its_server(play: Play) -> None:
    """RFC 9728."""
    player = play()
    found = player.call("GET", "/.well-known/oauth-protected-resource/oauth2/api").json
    assert found["resource"] == f"{player.sandbox.url}/oauth2/api"
    assert found["authorization_servers"] == [f"{player.sandbox.url}/oauth2"]
