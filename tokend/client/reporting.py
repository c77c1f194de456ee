"""What the adapters do after a 401, whatever their HTTP library: report it, and see whether there is a newer token."""

import logging

from tokend.client.errors import TokendError
from tokend.client.tokens import Lease, TokenClient

_log = logging.getLogger("tokend.client")


def newer(client: TokenClient, lease: Lease) -> Lease | None:
    """Report that ``lease`` was refused. Returns the lease to retry with; None where no newer one could be had.

    However many callers report one generation, tokend asks its upstream once. Raises nothing: the 401 that the caller
    holds says more to a program than that tokend could not help.
    """
    if lease.generation is None:
        return None  # without it the report would be a wish for a new token, which only admins have
    try:
        found = client.refresh(lease.name, if_generation=lease.generation, reason="unauthorized")
    except TokendError as error:
        _log.warning("%s: the server answered 401, and there is no newer token: %s", lease.name, error)
        return None
    return found if (found.generation or 0) > lease.generation else None
