"""A daemon that logs in at the sandbox's Vault and keeps a token in its KV engine."""

from tests.daemon.harness import Home, until
from tests.daemon.tables import PARTNER

LOGIN = """
[providers.login]
kind = "vault"
address = "{url}"
auth_method = "approle"
role_id = {{ file = "s/role-id" }}
secret_id = {{ file = "s/secret-id" }}
"""
STORE = """
[[providers.partner.sinks]]
kind = "vault"
address = "{url}"
path = "app"
auth = {{ token = "login" }}
"""


def test_each_token_becomes_a_version_with_its_generation(home: Home) -> None:
    """As at a real server: the second write is a patch, and the status has no remark."""
    home.secret("role-id", "sandbox-role-id")
    home.secret("secret-id", "sandbox-secret-id")
    daemon = home.start(LOGIN, PARTNER, STORE).settled()
    first = daemon.row("partner")

    def renewed() -> bool:  # a JWT that is signed again within the same second is the same
        assert daemon.ask("POST", "/v1/tokens/partner/refresh").status == 200
        return bool(daemon.row("partner")["fingerprint"] != first["fingerprint"])

    until(renewed, "another token")
    assert home.run("sync", "partner").returncode == 0
    for row, version in ((first, "1"), (daemon.row("partner"), "2")):
        store = row["sinks"][1]
        assert (store["state"], store["store_version"], store["remark"]) == ("ok", version, None)
    assert "as it must be\n" in home.run("status", "partner", "--inspect").stdout
