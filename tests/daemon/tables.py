"""Configurations of the five kinds as the sandbox accepts them; `Home.text` fills in its URL."""

# The sandbox's own defaults. A test plants others where it looks for them.
SECRETS = {
    "px-user": "sandbox-user",
    "px-key": "sandbox-projectx-key",
    "tt-key": "sandbox-tt-key",
    "tt-secret": "sandbox-tt-secret",
    "partner": "sandbox-partner-secret",
    "wallet-key": "sandbox-wallet-key",
    "wallet-secret": "sandbox-wallet-secret",
    "xerve": "sandbox-xerve-secret",
}
DAEMON = """
[daemon]
socket = "run/t.sock"
state_directory = "state"
"""
PX = """
[providers.px]
kind = "projectx"
base_url = "{url}"
username = {{ file = "s/px-user" }}
api_key = {{ file = "s/px-key" }}

[[providers.px.sinks]]
kind = "dotenv"
path = "out/bot.env"
key = "JWT_TOKEN"
"""
TT = """
[providers.tt]
kind = "tt"
base_url = "{url}"
environment = "uat"
api_key = {{ file = "s/tt-key" }}
api_secret = {{ file = "s/tt-secret" }}
app_name = "App"
company_name = "Company"

[[providers.tt.sinks]]
kind = "json"
layout = "tt"
path = "out/tt_token.json"
"""
PARTNER = """
[providers.partner]
kind = "jwt"
secret = {{ file = "s/partner" }}
ttl = "15m"
claims = {{ clientId = "sandbox-client" }}

[[providers.partner.sinks]]
kind = "raw"
path = "out/partner.jwt"
"""
WALLET = """
[providers.wallet]
kind = "request-jwt"
key = {{ file = "s/wallet-key" }}
secret = {{ file = "s/wallet-secret" }}
"""
LINKS = """
[providers.links]
kind = "auth-token"
base_url = "{url}"
client_secret = {{ file = "s/xerve" }}
sign_paths = ["GET /api/v1/get-balance"]
"""
ALL_KINDS = PX + TT + PARTNER + WALLET + LINKS
