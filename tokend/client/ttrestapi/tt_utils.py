"""The functions of the module of this name in the package TTRestAPI."""

_PREFIX = "Bearer "


def format_bearer_token(token: str) -> str:
    """Return the value of the header ``Authorization``. A token that already has the prefix stays as it is."""
    return token if token.startswith(_PREFIX) else _PREFIX + token
