"""The token that `renew` needs, as a login keeps it: one parameter that holds the value and the further members.

The record has the token, too, but a login outlives it, and may be shared by several daemons.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tokend.values.logins import Login
from tokend.values.secret import Secret
from tokend.values.tokens import Token

# The name of the parameter.
TOKEN = "token"  # noqa: S105  (a name)
# The members of its JSON, and their types.
MEMBERS: Mapping[str, type] = MappingProxyType({"value": str, "type": str, "extra": dict, "secret_extra": dict})


def kept(token: Token) -> dict[str, Secret]:
    """Return the parameters of a login that keep a token."""
    plain = {name: one for name, one in token.extra.items() if not isinstance(one, Secret)}
    secret = {name: one.reveal() for name, one in token.extra.items() if isinstance(one, Secret)}
    whole = {"value": token.value.reveal(), "type": token.token_type, "extra": plain, "secret_extra": secret}
    return {TOKEN: Secret(json.dumps(whole))}


def kept_token(login: Login) -> Token | None:
    """Return the token that a login keeps; None if it keeps none that can be read. Its times are those of the login."""
    parameter = login.parameters.get(TOKEN)
    whole = None if parameter is None else _read(parameter)
    if whole is None:
        return None
    extra: dict[str, Any] = dict(whole["extra"])
    extra |= {name: Secret(one) for name, one in whole["secret_extra"].items()}
    # Where the end is not known, every end that an answer says is a later one.
    ends = login.ends_at if login.refresh_token is None else login.refreshed_at
    return Token(Secret(whole["value"]), whole["type"], login.refreshed_at, ends, extra=extra)


def _read(parameter: Secret) -> Mapping[str, Any] | None:
    """Return what `kept` has written; None for anything else: another version or a person may have written it."""
    try:
        whole = json.loads(parameter.reveal())
    except (ValueError, RecursionError):
        return None
    if not isinstance(whole, dict) or any(type(whole.get(name)) is not kind for name, kind in MEMBERS.items()):
        return None
    return whole if all(isinstance(one, str) for one in whole["secret_extra"].values()) else None
