"""Report of a token that a server answered with 401, shared by the adapters of all HTTP libraries."""

import logging

from tokend.client.errors import TokendError
from tokend.client.leases import Lease
from tokend.client.tokens import TokenClient

_log = logging.getLogger("tokend.client")


def newer(client: TokenClient, lease: Lease) -> Lease | None:
    """Report that ``lease`` was refused. Returns a newer lease for the second try; None if there is none.

    Many callers may report one generation: tokend asks its upstream once. Raises nothing: to the caller's program the
    401 that it holds says more than a failed report.
    """
    if lease.generation is None:
        return None  # a report without a generation is an unconditional refresh, which only admins may request
    try:
        found = client.refresh(lease.name, if_generation=lease.generation, reason="unauthorized")
    except TokendError as error:
        _log.warning("%s: the server answered 401, and there is no newer token: %s", lease.name, error)
        return None
    return found if (found.generation or 0) > lease.generation else None
