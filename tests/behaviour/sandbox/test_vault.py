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
    for version in ("1", "2"):
        row = until(lambda: (found := daemon.row("partner")["sinks"][1])["state"] == "ok" and found, "a write")
        assert (row["store_version"], row["remark"]) == (version, None)
        assert daemon.ask("POST", "/v1/tokens/partner/refresh").status == 200
        assert home.run("sync", "partner").returncode == 0
    looked = home.run("status", "partner", "--inspect")
    assert "as it must be\n" in looked.stdout
