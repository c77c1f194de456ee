"""Kind ``oauth2`` in the real daemon, against the sandbox's server."""

import json
from typing import Any

from tests.daemon.harness import Home, until

CLIENT = """
[providers.api]
kind = "oauth2"
grant = "client_credentials"
issuer = "{url}/oauth2"
client_id = "sandbox-oauth2-client"
client_secret = {{ file = "s/oauth2" }}
scope = ["read"]
headers = {{ X-Scope = "{{extra.scope}}" }}
answer = {{ extra = {{ scope = "scope" }}, secret_extra = {{ kept = "access_token" }} }}

[[providers.api.sinks]]
kind = "json"
path = "out/api.json"

[[providers.api.sinks]]
kind = "template"
path = "out/api.txt"
template = "{{{{ extra.scope }}}} {{{{ extra.kept == access_token }}}} {{{{ extra }}}}"
"""


def test_a_client_gets_a_token_that_the_api_accepts(home: Home) -> None:
    """From the request to the answer for readers, files and templates; changed headers hold at once."""
    home.secret("oauth2", "sandbox-oauth2-secret")
    home.write(CLIENT)
    daemon = home.start().settled()
    lease: dict[str, Any] = daemon.lease("api")
    assert lease["headers"] == {"Authorization": f"Bearer {lease['access_token']}", "X-Scope": "read"}
    assert lease["extra"] == {"scope": "read", "kept": lease["access_token"]}
    shown = json.loads(home.out("api.json").read_text())
    assert (shown["access_token"], shown["extra"]) == (lease["access_token"], {"scope": "read"})
    assert home.out("api.txt").read_text() == "read True {'scope': 'read'}"
    before = home.requests("oauth2")
    home.write(CLIENT.replace("X-Scope", "X-Changed"))
    assert home.run("reload").returncode == 0
    until(lambda: "X-Changed" in daemon.lease("api")["headers"], "the changed header")
    assert daemon.lease("api")["access_token"] == lease["access_token"]
    assert home.requests("oauth2") == before
    home.secret("oauth2", "planted-wrong-secret")
    assert home.run("refresh", "api").returncode != 0
    row = daemon.row("api")
    assert (row["valid"], row["last_error"]["class"]) == (True, "rejected")
    assert "planted" not in home.log.read_text() + json.dumps(daemon.status())
