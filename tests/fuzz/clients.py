"""Input of clients: an answer on the socket (from any server), and the hosts that git, docker and bazel ask for."""

from contextlib import suppress
from urllib.parse import urlsplit

import yarl
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url as urllib3_parse

from tokend.cli.credential_hosts import Host, HostError, parse_url
from tokend.client.errors import NotRunningError, TokendError, refusal
from tokend.client.leases import read_lease
from tokend.client.transport import json_object, parse_answer

GIVEN = (
    Host.parse("git.example.com=forge"),
    Host.parse("*.example.com:8443=wild"),
    Host.parse("http://localhost:3000=local"),
    Host.parse("me@[::1]=six"),
)


def answer(data: bytes) -> None:
    """Any bytes instead of tokend's answer: a token, a refusal, or the sentence that this is not tokend."""
    with suppress(NotRunningError):
        status, headers, body = parse_answer(data, "/run/fake.sock")
        assert 0 <= status <= 999
        assert all(name == name.lower() for name in headers)
        error = refusal(status, body)
        assert isinstance(error, TokendError)
        assert str(error)
        lease = read_lease(json_object(body, "/run/fake.sock"), "/run/fake.sock")
        assert len(lease.access_token) < 12 or lease.access_token not in repr(lease).replace(lease.name, "")


def hosts(data: bytes) -> None:
    """A host that gets a token is the host that a client connects to: all parsers agree on it."""
    text = data.decode("utf-8", "replace")
    with suppress(HostError):
        Host.parse(text)
    found = parse_url(text)
    if found is None:
        return
    scheme, name, port = found
    for one in GIVEN:
        if one.matches(scheme, name, port):
            _agree(text if "://" in text else f"{one.scheme}://{text}", one)


def _agree(url: str, given: Host) -> None:
    """Each parser that takes the URL finds the host that the token is for, or one below it."""
    below = given.host.removeprefix("*")
    found = {"urllib": urlsplit(url).hostname}
    with suppress(LocationParseError, ValueError):
        found["urllib3"] = urllib3_parse(url).host
    with suppress(ValueError):
        found["yarl"] = yarl.URL(url).raw_host
    for parser, host in found.items():
        if host is not None:
            bare = host.strip("[]").lower()
            assert bare == below or (given.host.startswith("*.") and bare.endswith(below)), (parser, url, host)
