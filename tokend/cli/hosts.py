"""Which token a host is given: ``[USER@]HOST[:PORT]=NAME``, and whether a URL is one of that host."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit

from tokend.cli.output_formats import USERNAME
from tokend.client.loopback import is_loopback

PORTS = {"https": 443, "http": 80}
# Bazel speaks of remote caches in gRPC's words.
_SAME_AS = {"grpcs": "https", "grpc": "http"}


class HostError(ValueError):
    """That is no host with a token."""


@dataclass(frozen=True)
class Host:
    """One host, or with a leading ``*.`` all hosts below one; its token's name; the user name, if one is given."""

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
            # What was given may hold a password.
            raise HostError("a host and its token are [USER@]HOST[:PORT]=NAME, as in git.example.com=forge")
        if parts.scheme not in PORTS or (parts.scheme == "http" and not is_loopback(parts.hostname)):
            raise HostError(f"{parts.hostname}: a token goes over https only, or over http to loopback")
        return cls(parts.scheme, parts.hostname, _port(parts), name, parts.username)

    @property
    def username(self) -> str:
        """What to log in as."""
        return self.user or USERNAME

    @property
    def url(self) -> str:
        """Its URL, without the user."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == PORTS[self.scheme] else f":{self.port}")

    def matches(self, scheme: str | None, host: str, port: int) -> bool:
        """Tell whether a request goes there. Without a scheme (docker) it is taken for the one that is configured."""
        same = host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host
        return same and scheme in (None, self.scheme) and port == self.port


def parse_url(url: str) -> tuple[str | None, str, int] | None:
    """Scheme (None if it has none), host and port of what a program asks for; None if that is no web address."""
    if "\\" in url:
        return None  # to some programs it is a slash: they might go elsewhere than we think
    bare = "://" not in url
    parts = _split(f"https://{url}" if bare else url)
    if parts is None or not parts.hostname:
        return None
    scheme = _SAME_AS.get(parts.scheme, parts.scheme)
    return None if scheme not in PORTS else (None if bare else scheme, parts.hostname, _port(parts))


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which is read only now, and may be no number
    except ValueError:
        return None
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or PORTS[_SAME_AS.get(parts.scheme, parts.scheme)]
