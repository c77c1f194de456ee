"""Client of tokend for Python programs. Uses the standard library only and imports nothing else of tokend.

    from tokend.client import token
    requests.get(url, headers={"Authorization": f"Bearer {token('tt')}"})

`TokenClient` has all other calls, `AsyncTokenClient` has them for asyncio.
"""

TYPE_CHECKING = False  # an import of `typing` costs more than this package; type checkers know the name
if TYPE_CHECKING:
    from tokend.client.async_tokens import AsyncTokenClient
    from tokend.client.errors import (
        BadRequestError,
        DeniedError,
        LoginRequiredError,
        NotRunningError,
        OriginError,
        RateLimitedError,
        TokendError,
        UnavailableError,
        UnknownTokenError,
        WaitTimeoutError,
    )
    from tokend.client.leases import Lease
    from tokend.client.tokens import TokenClient, token

__all__ = [
    "AsyncTokenClient",
    "BadRequestError",
    "DeniedError",
    "Lease",
    "LoginRequiredError",
    "NotRunningError",
    "OriginError",
    "RateLimitedError",
    "TokenClient",
    "TokendError",
    "UnavailableError",
    "UnknownTokenError",
    "WaitTimeoutError",
    "token",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that ``tokend get`` starts as fast as Python."""
    if name not in __all__:
        raise AttributeError(f"module 'tokend.client' has no attribute {name!r}")
    if name == "AsyncTokenClient":
        from tokend.client import async_tokens

        return async_tokens.AsyncTokenClient
    if name == "Lease":
        from tokend.client import leases

        return leases.Lease
    if name in {"TokenClient", "token"}:
        from tokend.client import tokens

        return getattr(tokens, name)
    from tokend.client import errors

    return getattr(errors, name)
