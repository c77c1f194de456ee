"""Input on the sockets: bytes of a connection, headers and queries, and what the kernel says of a peer."""

import re

from tests.fuzz.stored import NOW
from tokend.access.peer import Peer
from tokend.access.units import UnitUnknownError, matches, unit_in
from tokend.credentials.rules import _ADDRESS
from tokend.httpd.problem import RequestError, problem
from tokend.httpd.request import Request
from tokend.httpd.request_parser import SLICE_BYTES, Limits, RequestReader
from tokend.values.tokens import utc

PEER = Peer(0, frozenset())
LIMITS = Limits(header_bytes=2048, body_bytes=4096)
KNOWN = frozenset({"min_ttl", "dry_run", "if_generation", "reason"})


def requests(data: bytes) -> None:
    """Any bytes on a connection: the same requests however they are cut, each of whose parts is read or refused.

    The first byte is the length of the pieces.
    """
    size, raw = 1 + (data or b"\0")[0], data[1:]
    whole, pieces = _read(raw, SLICE_BYTES), _read(raw, size)
    # Where a foreign verb is cut, it is no HTTP: what is refused may be refused in two ways.
    if all(isinstance(one, Request) for one in whole + pieces):
        assert whole == pieces
    for one, other in zip(whole, pieces, strict=False):
        assert one == other or not isinstance(one, Request) or not isinstance(other, Request)
    for request in whole:
        if isinstance(request, Request):
            _use(request)
        else:
            assert problem(request).status == request.status
            assert 400 <= request.status < 500


def peers(data: bytes) -> None:
    """/proc/PID/cgroup as a container or user may have made it, and the name that a peer is bound to."""
    try:
        unit = unit_in(data)
    except UnitUnknownError:
        unit = None
    if unit is not None:
        assert re.fullmatch(r"[A-Za-z0-9:_.\\@-]+\.(service|scope|socket|mount|swap)", unit)
        line = next(line for line in data.split(b"\n") if line.startswith(b"0::/"))
        assert not line.startswith(b"0::/user.slice/")
        assert unit.encode() in line
        matches(unit, [data.decode("latin-1"), "*", "[", unit])
    if (match := _ADDRESS.fullmatch(data)) is not None:
        assert b"/" not in match[1] + match[2]
        assert utc(NOW.wall)


def _read(raw: bytes, size: int) -> list[Request | RequestError]:
    """What a connection's reader makes of the bytes, given in slices of ``size``."""
    reader = RequestReader(PEER, LIMITS)
    found: list[Request | RequestError] = []
    for start in range(0, len(raw), size):
        reader.feed(raw[start : start + size])
        found += reader.due
        reader.due.clear()
    reader.close()
    return found


def _use(request: Request) -> None:
    """Read all that routes read."""
    for read in (
        lambda: request.segments,
        lambda: request.query(KNOWN),
        lambda: request.json_object(frozenset({"reason"})),
        request.json_object,
        lambda: request.preferred_type("application/json", "text/plain"),
    ):
        try:
            read()
        except RequestError as error:
            assert 400 <= error.status < 500
            problem(error)
    assert (request.wait_seconds() or 0) <= 300
    request.matches_etag('"17"')
    assert not request.body or request.body[:20].hex() not in repr(request)
