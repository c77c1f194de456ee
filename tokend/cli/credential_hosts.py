"""Map from hosts to tokens for ``tokend credential``: ``[USER@]HOST[:PORT]=NAME``, and the match with a URL."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit

from tokend.cli.output_formats import USERNAME
from tokend.client.loopback import is_loopback

PORTS = {"https": 443, "http": 80}
# Bazel uses gRPC's schemes for remote caches.
_SAME_AS = {"grpcs": "https", "grpc": "http"}


class HostError(ValueError):
    """The text is not ``[USER@]HOST[:PORT]=NAME``. The message does not repeat it."""


@dataclass(frozen=True)
class Host:
    """One host, or with a leading ``*.`` all hosts below one, with the name of its token and a user name or None."""

    scheme: str
    host: str
    port: int
    name: str
    user: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``[https://][USER@]HOST[:PORT]=NAME``; raises `HostError`. http:// is for loopback only."""
        place, _, name = text.rpartition("=")
        parts = _split(place if "://" in place else f"https://{place}")
        if parts is None or not parts.hostname or not name or parts.path not in ("", "/") or parts.password is not None:
            # The text may hold a password.
            raise HostError("a host and its token are [USER@]HOST[:PORT]=NAME, as in git.example.com=forge")
        if parts.scheme not in PORTS or (parts.scheme == "http" and not is_loopback(parts.hostname)):
            raise HostError(f"{parts.hostname}: a token goes over https only, or over http to loopback")
        return cls(parts.scheme, parts.hostname, _port(parts), name, parts.username)

    @property
    def username(self) -> str:
        """User name for the login: the given one, else `USERNAME`."""
        return self.user or USERNAME

    @property
    def url(self) -> str:
        """URL of the host, without the user."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == PORTS[self.scheme] else f":{self.port}")

    def matches(self, scheme: str | None, host: str, port: int) -> bool:
        """Return whether a request goes to this host. A request without a scheme (docker) matches either scheme."""
        same = host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host
        return same and scheme in (None, self.scheme) and port == self.port


def parse_url(url: str) -> tuple[str | None, str, int] | None:
    """Split a URL into scheme (None without one), host and port. Returns None for anything but a web address."""
    if "\\" in url:
        return None  # some programs read a backslash as a slash, and so find another host in the URL
    bare = "://" not in url
    parts = _split(f"https://{url}" if bare else url)
    if parts is None or not parts.hostname:
        return None
    scheme = _SAME_AS.get(parts.scheme, parts.scheme)
    return None if scheme not in PORTS else (None if bare else scheme, parts.hostname, _port(parts))


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # urlsplit parses the port only here; it may be no number
    except ValueError:
        return None
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or PORTS[_SAME_AS.get(parts.scheme, parts.scheme)]
