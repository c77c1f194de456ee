"""URLs of stores that speak another protocol than HTTP: encrypted, or on this machine."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from tokend.values.url import has_user, is_loopback


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """The parts of a URL. ``host`` is None for a Unix socket, whose ``path`` is that of the file."""

    scheme: str
    host: str | None
    port: int
    path: str

    @property
    def place(self) -> str:
        """``host:port``, or the socket's path: for targets, and for the pause of a host."""
        host = f"[{self.host}]" if self.host is not None and ":" in self.host else self.host
        return self.path if host is None else f"{host}:{self.port}"


def parse_store_url(value: str, *, plain: str, encrypted: str, port: int, socket: str | None = None) -> StoreUrl:
    """Parse a URL with one of the schemes. Raises ValueError; ``plain`` is for loopback only.

    A URL has neither a user, nor a query, nor a fragment.
    """
    forms = f"{encrypted}://host, or {plain}:// to loopback" + (f", or {socket}:///path" if socket else "")
    try:
        parts = urlsplit(value)
        given = parts.port
    except ValueError:
        raise ValueError(f"this is no URL: write {forms}") from None
    if parts.username is not None or parts.password is not None or has_user(value):
        raise ValueError("a URL holds no user and no password here: they have keys of their own")
    if "?" in value or "#" in value or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("a store's URL has no query, no fragment and no spaces")
    if socket is not None and parts.scheme == socket:
        if parts.netloc or not parts.path.startswith("/") or parts.path == "/":
            raise ValueError(f"the path of a socket is absolute: {socket}:///run/…")
        return StoreUrl(socket, None, 0, unquote(parts.path))
    if parts.scheme not in {plain, encrypted} or not parts.hostname:
        raise ValueError(f"a store's URL is {forms}")
    if parts.scheme == plain and not is_loopback(parts.hostname):
        raise ValueError(
            f"{plain}:// would send secrets in clear: {encrypted}:// only ({plain}:// to loopback is allowed)"
        )
    return StoreUrl(parts.scheme, parts.hostname, given or port, parts.path)
