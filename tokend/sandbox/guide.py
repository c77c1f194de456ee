"""Guide that the sandbox prints at its start: its URL and the accounts that it accepts."""

import json
from dataclasses import fields

from tokend.sandbox.options import Options

# For each kind of provider: key of tokend's configuration, and the sandbox's option for the same value.
_ACCOUNTS: dict[str, dict[str, str]] = {
    "projectx": {"username": "projectx_username", "api_key": "projectx_api_key"},
    "tt": {"api_key": "tt_api_key", "api_secret": "tt_api_secret"},
    "jwt": {"claims.clientId": "partner_client_id", "secret": "partner_secret"},
    "request-jwt": {"key": "wallet_key", "secret": "wallet_secret"},
    "auth-token": {"client_secret": "xerve_client_secret"},
    "github-app": {"client_id": "github_client_id", "installation": "github_installation", "owner": "github_owner"},
    "google-service-account": {"subject": "google_subject"},
    "oauth2": {
        "client_id": "oauth2_client_id",
        "client_secret": "oauth2_client_secret",
        "refresh_token": "oauth2_refresh_token",
    },
    "vault": {"role_id": "vault_role_id", "secret_id": "vault_secret_id", "role": "vault_role", "jwt": "vault_jwt"},
}
# Where the sandbox hands out the key of its own that a kind signs with.
_KEYS = {
    "github-app": ("private_key", "/github/private-key.pem"),
    "google-service-account": ("key", "/google/key.json"),
}
_TO_TRY = {
    "jwt": "GET /portfolio",
    "request-jwt": "POST /api/wallet/transfer",
    "auth-token": "GET the loginLink, once",
    "google-service-account": "GET /google/userinfo",
    "github-app": "GET /installation/repositories",
    "oauth2": "GET /oauth2/api",
    "vault": "GET /v1/auth/token/lookup-self",
}


def guide(url: str, options: Options) -> list[str]:
    """Return the lines to print below "listening on …"."""
    lines = [
        "",
        f'Give projectx, tt, auth-token and github-app base_url = "{url}", and vault address;',
        f'oauth2 issuer = "{url}/oauth2".',
        "Accepted, by kind of provider:",
    ]
    for kind, keys in _ACCOUNTS.items():
        account = ", ".join(f"{key} = {_shown(name, options)}" for key, name in keys.items())
        if kind in _KEYS:
            key, path = _KEYS[kind]
            account += f"; {key}: curl {url}{path}"
        lines.append(f"  {kind:<12} {account}" + (f"; to try a token: {_TO_TRY[kind]}" if kind in _TO_TRY else ""))
    lines.append(
        f'  {"http":<12} any of them, as a table: request.url = "{url}/api/Auth/loginKey" asks for one of projectx'
    )
    lines.append(f"  {'http-on-demand':<12} any of them, as http; auth-token: POST {url}/api/v1/generate-auth-token")
    lines.append(f"  {'jwt-on-demand':<12} what jwt has; to try a token: {_TO_TRY['jwt']}")
    store = {"auth": "railway_project_token", "project": "railway_project", "environment": "railway_environment"}
    place = ", ".join(f"{key} = {_shown(name, options)}" for key, name in store.items())
    lines += [
        "Stores for sinks, at the same address:",
        f"  {'railway':<12} {place}, and any service and variable",
        f'  {"vault":<12} mount = "secret", any path, auth = {{ token = "…" }} of a provider of kind vault',
    ]
    return [*lines, f"To see and change its state while it runs: curl {url}/_sandbox", "Ctrl-C ends it."]


def _shown(name: str, options: Options) -> str:
    """Show a default, which is fake. Hide any other value, which may be secret."""
    value = getattr(options, name)
    default = next(declared.default for declared in fields(Options) if declared.name == name)
    return json.dumps(value) if value == default else "(as given)"
