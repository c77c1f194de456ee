"""A `Grant`: all that an adapter adds to one request: headers, and a request id where the upstream wants one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from tokend.client.leases import Lease
from tokend.client.reporting import newer
from tokend.client.tokens import TokenClient


@dataclass(frozen=True)
class Grant:
    """A token for one request. ``request_id`` is None where the upstream wants none, or the caller has set one."""

    lease: Lease
    request_id: str | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers to send, in clear."""
        return self.lease.headers

    def query(self, query: str) -> str:
        """Return a URL's query, still encoded, with the request id in place of any other."""
        if self.request_id is None:
            return query
        return with_parameter(query, self.lease.request_id_parameter or "", self.request_id)


@dataclass(frozen=True)
class TokenSource:
    """The tokens of one name for the requests of a session. Its methods block."""

    name: str
    client: TokenClient = field(repr=False)

    def first(self, query: str, parameters: Mapping[str, str] | None) -> Grant:
        """Return a token for a new request with this query: held ready, or issued for its parameters.

        A request id that the caller has set stays.
        """
        if parameters is not None:
            return Grant(self.client.issue(self.name, **parameters))
        lease = self.client.get(self.name)
        parameter = lease.request_id_parameter
        return Grant(lease) if parameter and has_parameter(query, parameter) else self._with_id(lease)

    def again(self, grant: Grant, parameters: Mapping[str, str] | None) -> Grant:
        """Return a token for a request that is made again elsewhere: the same one, but for what counts only once."""
        return self._with_id(grant.lease) if parameters is None else self.first("", parameters)

    def newer(self, refused: Grant) -> Grant | None:
        """Report a token that was answered with 401. Returns a newer one; None if there is none."""
        lease = newer(self.client, refused.lease)
        return None if lease is None else self._with_id(lease)

    def _with_id(self, lease: Lease) -> Grant:
        return Grant(lease, self.client.request_id(self.name) if lease.request_id_parameter else None)


def has_parameter(query: str, name: str) -> bool:
    """Return whether an encoded query has a parameter of this name."""
    return any(part.partition("=")[0] == name for part in query.split("&"))


def with_parameter(query: str, name: str, value: str) -> str:
    """Return an encoded query with one parameter of this name, at the end. The others stay as they are, byte by byte.

    A query that was signed or encoded in a way of its own must not be parsed and written again.
    """
    others = [part for part in query.split("&") if part.partition("=")[0] != name] if query else []
    return "&".join([*others, f"{name}={quote(value, safe='')}"])
