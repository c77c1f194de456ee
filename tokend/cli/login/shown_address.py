"""Addresses and codes that a server has given, as far as a terminal may show them and a browser may open them."""

from urllib.parse import urlsplit

from tokend.client import TokendError
from tokend.values.url import is_loopback

LONGEST_ADDRESS = 8192
LONGEST_CODE = 64


class UnfitError(TokendError):
    """A server has given what nobody should be shown."""

    exit_code = 4


def shown_address(address: object) -> str:
    """Return an address that is https (or http on this machine), printable ASCII, and without a user before its host.

    Raises `UnfitError`, whose message does not repeat it.
    """
    if not isinstance(address, str) or not _is_plain(address, LONGEST_ADDRESS):
        raise UnfitError("the server gave an address that is not printable ASCII: it is not shown")
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        raise UnfitError("the server gave an address that cannot be read: it is not shown") from None
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not is_safe or not host or "@" in parts.netloc or "\\" in address:
        raise UnfitError("the server gave an address that is not https://host/…: it is not shown")
    return address


def shown_code(code: object) -> str:
    """Return a code that a person can enter: printable ASCII. Raises `UnfitError`."""
    if not isinstance(code, str) or not _is_plain(code.replace(" ", "-"), LONGEST_CODE):
        raise UnfitError("the server gave a code that is not printable ASCII: it is not shown")
    return code


def _is_plain(text: str, longest: int) -> bool:
    return 0 < len(text) <= longest and all("!" <= one <= "~" for one in text)
