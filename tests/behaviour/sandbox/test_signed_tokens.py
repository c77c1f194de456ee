"""Kinds that sign with a private key, in a daemon, against the sandbox, which verifies without a library."""

import json
import urllib.error
import urllib.request
from typing import Any

import jwt
import pytest

from tests.cli.running import Running, daemon, short_directory, write_config
from tests.sandbox.player import Play, play

__all__ = ["play"]


def fetched(url: str, headers: dict[str, str]) -> Any:
    """Ask with the headers of a token; the JSON of the answer, or the status of a refusal."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=10) as reply:  # noqa: S310  (loopback)
            return json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code


def headers_of(running: Running, name: str) -> dict[str, str]:
    """Return what ``tokend get NAME -o header`` prints."""
    done = running.tokend("get", name, "-o", "header")
    assert done.code == 0, done.err
    return dict(line.split(": ", 1) for line in done.out.splitlines())


@pytest.mark.parametrize("place", ["installation = 1", 'owner = "sandbox-org"'])
def test_an_installation_token_reads_the_repositories_of_its_app(play: Play, place: str) -> None:
    """The JWT is accepted, and the token by the API, also where the installation is looked up."""
    player = play()
    table = f"""
        [daemon]
        socket = "tokend.sock"
        state_directory = "state"

        [providers.github]
        kind = "github-app"
        base_url = "{player.sandbox.url}"
        client_id = "sandbox-app"
        private_key = {{{{ file = "./app.pem" }}}}
        {place}
        repositories = ["app"]
    """
    with short_directory() as directory:
        key = player.call("GET", "/github/private-key.pem").body
        (directory / "app.pem").write_bytes(key)
        (directory / "app.pem").chmod(0o600)
        with daemon(write_config(directory, table)) as running:
            running.becomes("github", "valid")
            found = fetched(player.sandbox.url + "/installation/repositories", headers_of(running, "github"))
            assert [one["full_name"] for one in found["repositories"]] == ["sandbox-org/app"]
    asked = [path for _, path, _ in player.log("github")]
    assert asked.count("/orgs/sandbox-org/installation") == ("owner" in place)
    assert asked.count("/app/installations/1/access_tokens") == 1


def test_a_service_accounts_tokens_are_accepted(play: Play) -> None:
    """An access token by the API, for a person; an ID token has the audience that was asked for."""
    player = play()
    table = """
        [daemon]
        socket = "tokend.sock"
        state_directory = "state"

        [providers.google]
        kind = "google-service-account"
        key = {{ file = "./key.json" }}
        scope = ["email"]
        subject = "person@example.com"

        [providers.identity]
        kind = "google-service-account"
        key = {{ file = "./key.json" }}
        audience = "https://service.example"
    """
    with short_directory() as directory:
        (directory / "key.json").write_bytes(player.call("GET", "/google/key.json").body)
        (directory / "key.json").chmod(0o600)
        with daemon(write_config(directory, table)) as running:
            running.becomes("google", "valid")
            found = fetched(player.sandbox.url + "/google/userinfo", headers_of(running, "google"))
            assert found["email"] == "person@example.com"
            running.becomes("identity", "valid")
            value = headers_of(running, "identity")["Authorization"].removeprefix("Bearer ")
            assert jwt.decode(value, options={"verify_signature": False})["aud"] == "https://service.example"
