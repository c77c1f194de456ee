"""Map from hosts to tokens for ``tokend credential``: ``[USER@]HOST[:PORT]=NAME``, and the match with a URL.

A host is a name of RFC 1123, or an IP address as it is usually written. Everything else matches nothing: the program
that asks may read it as another host than we do.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Self
from urllib.parse import SplitResult, urlsplit

from tokend.cli.output_formats import USERNAME
from tokend.client.loopback import is_loopback

PORTS = {"https": 443, "http": 80}
# Bazel uses gRPC's schemes for remote caches.
_SAME_AS = {"grpcs": "https", "grpc": "http"}
LONGEST_NAME = 253
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
# Programs read a name whose last label is a number as an IPv4 address, in more forms than we do.
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)", re.ASCII)
_PLACE = re.compile(r"(?:(?P<user>[^@]*)@)?(?P<host>[^@:\[\]]+|\[[^@\[\]]+\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII)


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
        found = None if parts is None else _PLACE.fullmatch(parts.netloc)
        if parts is None or found is None or not name or parts.path not in ("", "/") or ":" in (found["user"] or ""):
            # The text may hold a password.
            raise HostError("a host and its token are [USER@]HOST[:PORT]=NAME, as in git.example.com=forge")
        wildcard = found["host"].startswith("*.")
        host, port = _host(found["host"].removeprefix("*.")), _port(parts.scheme, found["port"])
        if host is None or port is None or parts.query or parts.fragment:
            raise HostError("a host is a name such as git.example.com, or an IP address; a port is 1 to 65535")
        if wildcard and ("." not in host or _NUMBER.fullmatch(host)):
            raise HostError("*. stands before two labels or more, as in *.example.com: before one it would be any host")
        if parts.scheme not in PORTS or (parts.scheme == "http" and not is_loopback(host)):
            raise HostError(f"{host}: a token goes over https only, or over http to loopback")
        return cls(parts.scheme, f"*.{host}" if wildcard else host, port, name, found["user"])

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
    found = None if parts is None else _PLACE.fullmatch(parts.netloc)
    if parts is None or found is None:
        return None
    scheme = _SAME_AS.get(parts.scheme, parts.scheme)
    host, port = _host(found["host"]), _port(scheme, found["port"])
    return None if scheme not in PORTS or host is None or port is None else (None if bare else scheme, host, port)


def _split(url: str) -> SplitResult | None:
    """Split a URL of visible ASCII. urlsplit drops some other characters, and so finds another host in the URL."""
    if not all("!" <= character <= "~" for character in url):
        return None
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _host(text: str) -> str | None:
    """Return a host in its usual form: lower case, without brackets. None for what is no host."""
    try:
        if text.startswith("["):
            address = IPv6Address(text[1:-1])
            return None if address.scope_id else address.compressed
        if _NUMBER.fullmatch(text):
            return str(IPv4Address(text))
    except ValueError:
        return None
    return text.lower() if len(text) <= LONGEST_NAME and _NAME.fullmatch(text) else None


def _port(scheme: str, text: str | None) -> int | None:
    """Return the port; that of the scheme if none is given. None for a number that is no port."""
    port = PORTS.get(scheme, 0) if text is None else int(text)
    return port if 0 < port < 65536 else None
