"""Loopback names and addresses. Its import takes less than a millisecond."""

from _socket import AF_INET, AF_INET6, inet_pton


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is a name or an address of this machine for every resolver.

    The same as `tokend.values.url.is_loopback`, held to one table by a test: this package stands alone.
    """
    if host.lower() == "localhost":
        return True
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        packed = inet_pton(AF_INET6 if ":" in bare else AF_INET, bare)
    except (OSError, ValueError):
        return False
    if len(packed) == 4:
        return packed[0] == 127 and bare is host
    # RFC 4291: ::1 (2.5.3), and an IPv4 address mapped into IPv6 (2.5.5.2).
    return packed == bytes(15) + b"\x01" or packed.startswith(bytes(10) + b"\xff\xff\x7f")
