"""What a person who has just started the sandbox needs to know: where it is, and which accounts it accepts."""

import json
from dataclasses import fields

from tokend.sandbox.options import Options

# Kind by kind: the options that name an account, under the names that tokend's configuration has for them.
_ACCOUNTS: dict[str, dict[str, str]] = {
    "projectx": {"username": "projectx_username", "api_key": "projectx_api_key"},
    "tt": {"api_key": "tt_api_key", "api_secret": "tt_api_secret"},
    "jwt": {"claims.clientId": "partner_client_id", "secret": "partner_secret"},
    "request-jwt": {"key": "wallet_key", "secret": "wallet_secret"},
    "auth-token": {"client_secret": "xerve_client_secret"},
}
_TO_TRY = {
    "jwt": "GET /portfolio",
    "request-jwt": "POST /api/wallet/transfer",
    "auth-token": "GET the loginLink, once",
}


def guide(url: str, options: Options) -> list[str]:
    """The lines to print below the one that says where it listens."""
    lines = ["", f'Give projectx, tt and auth-token base_url = "{url}". What is accepted, by kind of provider:']
    for kind, keys in _ACCOUNTS.items():
        account = ", ".join(f"{key} = {_shown(name, options)}" for key, name in keys.items())
        lines.append(f"  {kind:<12} {account}" + (f"; to try a token: {_TO_TRY[kind]}" if kind in _TO_TRY else ""))
    return [*lines, f"Look at it and change it while it runs: curl {url}/_sandbox", "Ctrl-C ends it."]


def _shown(name: str, options: Options) -> str:
    """The sandbox's own fakes in clear. What somebody else chose may be worth hiding."""
    value = getattr(options, name)
    default = next(declared.default for declared in fields(Options) if declared.name == name)
    return json.dumps(value) if value == default else "(as given)"
