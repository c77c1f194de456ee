"""The address at which a browser ends a login: which one it may be, and what an address of it says."""

import hmac
from urllib.parse import SplitResult, parse_qsl, urlsplit

from tokend.values.errors import RejectedError, WrongStateError
from tokend.values.url import has_user, is_loopback

DEFAULT_REDIRECT = "http://127.0.0.1/"
LONGEST_ADDRESS = 8192
MOST_FIELDS = 50


def redirect_fault(value: str) -> str | None:
    """Return what is wrong with a redirect; None if nothing is."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return "it is no URL: write http://127.0.0.1/, or https://…"
    if has_user(value) or "#" in value or not value.isascii() or not value.isprintable() or " " in value:
        return "it has no user, no fragment and only ASCII characters"
    if parts.scheme == "https" and parts.hostname:
        return None
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return None
    return "it is neither loopback nor https: write http://127.0.0.1/, or https://…"


def chosen_redirect(written: str | None, proposed: str | None) -> str:
    """Return where the browser ends: as it is written, at the proposed port where the written address has none.

    Raises `RejectedError` for a proposal that cannot be used.
    """
    if proposed is None:
        return written or DEFAULT_REDIRECT
    if (fault := redirect_fault(proposed)) is not None:
        raise RejectedError(f"the proposed redirect cannot be used: {fault}")
    if written is None:
        return proposed
    mine, theirs = urlsplit(written), urlsplit(proposed)
    if mine.scheme == "http" and mine.port is None and theirs.port is not None and is_loopback(mine.hostname or ""):
        return mine._replace(netloc=f"{mine.netloc}:{theirs.port}").geturl()
    return written


def parameters_of(address: str, redirect_uri: str) -> dict[str, str]:
    """Return the parameters of an address. Raises `WrongStateError` for one that is not of this login's redirect.

    The path is compared in constant time: it may hold the login's state.
    """
    try:
        ended, redirect = urlsplit(address.strip()), urlsplit(redirect_uri)
        pairs = parse_qsl(ended.query, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise WrongStateError("this is no address: give the one at which the browser has ended") from None
    if not hmac.compare_digest(_place(ended), _place(redirect)) or len(address) > LONGEST_ADDRESS:
        raise WrongStateError("the address is not the one to which this login's browser is sent")
    found = dict(pairs)
    if len(found) != len(pairs):
        raise WrongStateError("the address names a parameter twice")
    return found


def _place(parts: SplitResult) -> bytes:
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path or '/'}".encode("utf-8", "replace")
