"""Configuration that the demo writes, and the fake secrets for it."""

CONFIG = """\
# Written by `tokend demo`. The upstreams are the sandbox, lives are short, every secret is fake.
[daemon]
socket = "tokend.sock"
state_directory = "state"

[providers.topstepx]                 # a login: ProjectX / TopstepX
kind = "projectx"
base_url = "{url}"
username = {{ file = "secrets/projectx-username" }}
api_key = {{ file = "secrets/projectx-key" }}

[[providers.topstepx.sinks]]
kind = "dotenv"
path = "out/bot.env"
key = "JWT_TOKEN"

[[providers.topstepx.sinks]]
kind = "json"
path = "out/topstepx.json"

[[providers.topstepx.sinks]]         # one value in a file of another program, Docker's config.json
kind = "patch"
path = "out/config.json"
format = "json"
set = {{ "/auths/registry.example.com/auth" = "{{{{ ('bot:' ~ access_token) | b64 }}}}" }}

[[providers.topstepx.sinks]]         # a variable of a service that runs elsewhere, which is redeployed
kind = "railway"
base_url = "{url}"
project = "sandbox-project"
environment = "sandbox-environment"
service = "bot"
variable = "JWT_TOKEN"
auth = {{ file = "secrets/railway" }}
deploy = "auto"

[providers.tt]                       # Trading Technologies REST
kind = "tt"
base_url = "{url}"
environment = "uat"
api_key = {{ file = "secrets/tt-key" }}
api_secret = {{ file = "secrets/tt-secret" }}
app_name = "Demo"
company_name = "YourCompany"

[[providers.tt.sinks]]
kind = "json"
path = "out/tt_token.json"
layout = "tt"

[providers.partner]                  # a JWT signed on this machine
kind = "jwt"
secret = {{ file = "secrets/partner" }}
ttl = "15s"
claims = {{ clientId = "sandbox-client" }}

[[providers.partner.sinks]]
kind = "raw"
path = "out/partner.jwt"

[providers.cloud]                    # OAuth 2: a person logs in once; the refresh token rotates
kind = "oauth2"
grant = "device_code"
issuer = "{url}/oauth2"
client_id = "sandbox-oauth2-app"
scope = ["openid", "read"]

[providers.wallet]                   # on demand: one JWT per payment
kind = "request-jwt"
key = {{ file = "secrets/wallet-key" }}
secret = {{ file = "secrets/wallet-secret" }}

[providers.login-links]              # on demand: one single-use login link per user
kind = "auth-token"
base_url = "{url}"
client_secret = {{ file = "secrets/xerve" }}
"""
# The file of another program, before tokend sets a value in it.
DOCKER_CONFIG = """{
\t"auths": {
\t\t"somebody.example.com": {"auth": "a2VwdDphcyBpdCBpcw=="}
\t},
\t"detachKeys": "ctrl-e,e"
}
"""
# Defaults of the sandbox's options.
SECRETS = {
    "projectx-username": "sandbox-user",
    "projectx-key": "sandbox-projectx-key",
    "tt-key": "sandbox-tt-key",
    "tt-secret": "sandbox-tt-secret",
    "partner": "sandbox-partner-secret",
    "wallet-key": "sandbox-wallet-key",
    "wallet-secret": "sandbox-wallet-secret",
    "xerve": "sandbox-xerve-secret",
    "railway": "sandbox-railway-token",
}
