"""Upstream URLs: which ones a settings field accepts, which hosts are loopback, and the ``host:port`` of messages."""

import re
from _socket import AF_INET, AF_INET6, inet_pton
from urllib.parse import urlsplit

# RFC 3986, section 2. urlsplit drops tabs and newlines silently, and browsers turn backslashes into slashes: two
# readers of such a text would see two hosts.
_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*", re.ASCII)
# urlsplit drops the text after a closing bracket; others read it as a port.
_LABEL = "[A-Za-z0-9_~-]+"
_PLACE = re.compile(rf"(\[[0-9A-Fa-f:.]+\]|{_LABEL}(\.{_LABEL})*\.?)(:[0-9]{{1,5}})?", re.ASCII)
# Characters before an @ and after the scheme. Some readers end the host at a backslash, others do not.
_WITH_USER = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:[/\\]{2,}[^/\\?#]*@")

DOTS = {".", ".."}
_LINK_LOCAL = bytes((169, 254))
_METADATA = {inet_pton(AF_INET6, "fd00:ec2::254"), inet_pton(AF_INET6, "fd00:ec2::23")}
_DEFAULT_PORTS = {"http": 80, "https": 443}


def host_of(url: str) -> str:
    """Return ``host:port`` of a URL. Raises ValueError (which quotes the URL) if its port is unreadable."""
    parts = urlsplit(url)
    host = parts.hostname or "?"
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{parts.port or (80 if parts.scheme == 'http' else 443)}"


def origin_of(url: str) -> str:
    """Return scheme, host and port of an absolute URL: ``https://login.example:443``."""
    return f"{urlsplit(url).scheme.lower()}://{host_of(url)}"


def host_header(url: str) -> str:
    """Return the header Host as HTTP clients send it: without the scheme's own port."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f"{host}:{parts.port}"


def path_of(url: str) -> str:
    """Return the path of a URL as it is sent, without the query."""
    return urlsplit(url).path or "/"


def same_origin(one: str, other: str) -> bool:
    """Return whether two absolute URLs have the same scheme, host and port, and the second has no user."""
    try:
        a, b = urlsplit(one), urlsplit(other)
        readable = _CHARACTERS.fullmatch(other) is not None and _PLACE.fullmatch(b.netloc) is not None
        return readable and (a.scheme, host_of(one)) == (b.scheme, host_of(other))
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is a name or an address of this machine for every resolver.

    ``host`` has no port and no user; an IPv6 address may stand in brackets. Only ``localhost`` and the canonical forms
    of addresses count: a resolver may look up anything else, also ``127.1`` and ``localhost.``. `tokend.client` and
    `tokend.sandbox` stand alone and have a function of their own, held to the same table by a test.
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


def is_metadata_server(url: str) -> bool:
    """Return whether an absolute URL leads over plain http to a cloud's metadata server, written as a number.

    Those of AWS, Azure, GCP and others have addresses of the link (RFC 3927), or ``fd00:ec2::254`` and
    ``fd00:ec2::23``: no packet to them leaves the host's own network, and no name says where they are.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        packed = inet_pton(AF_INET6 if ":" in host else AF_INET, host)
    except (OSError, ValueError):
        return False
    return parts.scheme == "http" and (packed in _METADATA or (len(packed) == 4 and packed.startswith(_LINK_LOCAL)))


def is_confidential(url: str) -> bool:
    """Return whether secrets may be sent to an absolute URL: over https, or over http to loopback."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def is_loopback_redirect(url: str) -> bool:
    """Return whether ``url`` is on this machine: http or https to loopback, without user and fragment."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    readable = _CHARACTERS.fullmatch(url) is not None and _PLACE.fullmatch(parts.netloc) is not None
    return (
        readable
        and parts.scheme in {"http", "https"}
        and "#" not in url
        and port != 0
        and is_loopback(parts.netloc.removesuffix(f":{port}") if port is not None else parts.netloc)
    )


def has_user(text: str) -> bool:
    """Return whether ``text`` is a URL with a user or a password before its host, in the way of any reader."""
    return _WITH_USER.match(text) is not None


def _is_named(host: str) -> bool:
    """Return whether a host is the name by which a cloud calls its metadata server."""
    return "metadata" in host or host == "instance-data"


def validate_base_url(value: str, *, metadata: bool = False) -> str:
    """Check an upstream's URL for a settings field; returns it without a trailing slash. Raises ValueError.

    ``metadata`` also allows those of `is_metadata_server`, to which no secret may be sent.
    """
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("this is no URL: write https://host or https://host/path") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL holds no user and no password here: they have keys of their own")
    if "?" in value or "#" in value:
        raise ValueError("an upstream's URL has no query and no fragment")
    if DOTS & set(parts.path.split("/")):
        # Clients send such a path shortened: what was signed would not be what is sent.
        raise ValueError("an upstream's URL has no . and no .. in its path")
    if "" in (parts.hostname or "").removesuffix(".").split(".") and parts.hostname:
        raise ValueError("an upstream's URL has no empty part between the dots of its host")
    usable = _CHARACTERS.fullmatch(value) and _PLACE.fullmatch(parts.netloc)
    if not usable or not parts.hostname or parts.scheme not in {"http", "https"}:
        raise ValueError("an upstream's URL is https://host, or http:// to loopback only")
    if parts.scheme == "http" and not is_loopback(parts.hostname) and not (metadata and is_metadata_server(value)):
        advice = "; a metadata server is written as an address: http://169.254.169.254"
        also = advice if metadata and _is_named(parts.hostname) else ""
        raise ValueError(f"http:// would send secrets in clear: https:// only (http:// to loopback is allowed){also}")
    return value.rstrip("/")
