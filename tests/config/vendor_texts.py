"""Vendors' files of an administrator, written beside a configuration, and a table that uses one."""

from pathlib import Path

from tests.config.written import written

ACME = """\
title = "Acme"
docs = "https://acme.example/docs"
checked = 2026-11-30
notes = ["Fake."]

[needs]
client_id = "the id of the app"
client_secret = "its secret"

[placeholders.tenant]
pattern = "[a-z.]{1,20}"
default = "acme.example"

[provider]
kind = "oauth2"
grant = "client_credentials"
token_url = "https://{tenant}/token"
scope = ["one", "two"]
answer = { extra = { shard = "shard" }, lifetime = "1h" }
headers = { Authorization = "Acme {token}" }

[environments.sim]
token_url = "https://sim.{tenant}/token"
answer = { lifetime = "2h" }
"""
USER = """\
[providers.acme]
vendor = "acme"
client_id = "fake-client"
client_secret = { env = "KEY" }
"""


def with_vendor(directory: Path, user: str = USER, vendor: str = ACME, *, name: str = "acme") -> Path:
    """Write a configuration and, beside it, one vendor's file. Returns the configuration's path."""
    written(directory, vendor, name=f"vendors/{name}.toml")
    return written(directory, user)
