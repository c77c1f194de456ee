"""The origins that an adapter sends a token to: the listed ones, else that of its first request."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from tokend.client.errors import OriginError
from tokend.client.loopback import is_loopback

_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host and port. ``port`` is never the scheme's own, so that equal origins are equal."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port is None else f":{self.port}")


def origin(scheme: str | None, host: str | None, port: int | None) -> Origin:
    """Return an origin from the parts that an HTTP library has parsed. Raises ValueError unless it is http or https."""
    scheme, host = (scheme or "").lower(), (host or "").lower()
    if scheme not in _PORTS or not host:
        raise ValueError("an origin is https://HOST or https://HOST:PORT")
    bare = host[1:-1] if host.startswith("[") else host
    return Origin(scheme, bare, None if port == _PORTS[scheme] else port)


class Origins:
    """The origins of one token. ``parse`` is the HTTP library's own: it must read listed and requested URLs alike."""

    def __init__(self, name: str, listed: str | Iterable[str] | None, parse: Callable[[str], Origin]) -> None:
        """Raises ValueError for a listed text that is no origin."""
        self._name = name
        self._admitted: dict[str, frozenset[Origin]] = {}
        if listed is not None:
            texts = [listed] if isinstance(listed, str) else list(listed)
            self._admitted["all"] = frozenset(_parsed(text, parse) for text in texts)

    def includes(self, found: Origin) -> bool:
        """Return whether the token may go there; False also before the first request, if none are listed."""
        return found in self._admitted.get("all", ())

    def admit(self, found: Origin) -> None:
        """Raise `OriginError` unless the token may go there. Without a list, the first origin becomes the only one."""
        if found.scheme != "https" and not is_loopback(found.host):
            raise OriginError(
                f"{self._name} is not sent to {found}: http would show it to the network; use https, and list "
                "that origin in origins="
            )
        # `setdefault` is atomic: threads agree on one first origin.
        admitted = self._admitted.setdefault("all", frozenset((found,)))
        if found not in admitted:
            own = ", ".join(sorted(map(str, admitted)))
            raise OriginError(
                f"{self._name} is not sent to {found}: it is a token for {own or 'no origin'}; if it may go to both, "
                "list both in origins=, else make that request without this auth"
            )


def _parsed(text: str, parse: Callable[[str], Origin]) -> Origin:
    try:
        return parse(text)
    except Exception as error:
        raise ValueError(f"origins: {text!r} is no origin: write https://HOST or https://HOST:PORT") from error
