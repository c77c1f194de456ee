"""One HTTP exchange over tokend's Unix socket. The import takes a millisecond.

`_socket` instead of `socket`: the imports of `socket` take as long as the start of Python.
"""

import os
import sys
import time
from _socket import AF_UNIX, SO_PEERCRED, SOCK_STREAM, SOL_SOCKET
from _socket import socket as unix_socket

from tokend.client.errors import DeniedError, NotRunningError, WaitTimeoutError

TYPE_CHECKING = False  # `typing` is as costly as `socket`; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from socket import socket as any_socket
    from typing import Any

TIMEOUT_SECONDS = 40.0  # the daemon itself answers within 30 s
CHUNK_BYTES = 65536
# The status of 10,000 tokens is smaller: no daemon sends more.
LARGEST_ANSWER_BYTES = 16 * 1024 * 1024
# Each line of a head becomes several objects. The daemon's heads have some hundred bytes.
LARGEST_HEAD_BYTES = 64 * 1024
# Python refuses to convert thousands of digits; no daemon sends such a length.
LONGEST_NUMBER = 19
# Pause before the next try to connect while the daemon's queue of connections is full.
BUSY_SECONDS = 0.01


# struct ucred of unix(7): pid, uid and gid, each of four bytes.
CREDENTIALS_BYTES = 12
# Bits of a directory's mode with which others may put a socket into it.
OTHERS_MAY_WRITE = 0o022


class UsualPlace(str):
    """A socket's path that was searched for, not named: its server must show whose it is (`check_server`)."""

    __slots__ = ()


def usual_places(environ: "Mapping[str, str]" = os.environ) -> "list[str]":
    """Return the paths to search for the socket, in this order."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    own = [runtime + "/tokend/tokend.sock"] if runtime else []
    return [*own, "/run/tokend/tokend.sock", "/run/tokend.sock"]


def find_socket(explicit: "str | None" = None, environ: "Mapping[str, str]" = os.environ) -> str:
    """Return the socket's path: ``explicit``, else $TOKEND_SOCKET, else the first of `usual_places` that exists.

    The last is a `UsualPlace`. Raises `NotRunningError` if none exists.
    """
    if explicit:
        return explicit
    if environ.get("TOKEND_SOCKET"):
        return environ["TOKEND_SOCKET"]
    places = usual_places(environ)
    for place in places:
        try:
            os.stat(place)  # noqa: PTH116  (pathlib costs ten times this module)
        except PermissionError:
            return UsualPlace(place)  # the socket may exist: connecting gives the right error
        except OSError:
            continue
        return UsualPlace(place)
    raise NotRunningError(
        f"no daemon: there is no socket at {' or '.join(places)}; start tokend, or name its socket by $TOKEND_SOCKET"
    )


def exchange(
    path: str,
    method: str,
    target: str,
    *,
    headers: "Sequence[tuple[str, str]]" = (),
    body: bytes = b"",
    timeout: float = TIMEOUT_SECONDS,
) -> "tuple[int, dict[str, str], bytes]":
    """Send one request and return (status, {lower-case header: value}, body), all within ``timeout`` seconds.

    Raises `DeniedError`, `WaitTimeoutError`, or `NotRunningError`, also for an answer that is not HTTP or not whole.
    """
    request = request_bytes(method, target, headers, body)
    deadline = time.monotonic() + timeout
    try:
        raw = _ask(path, request, deadline)
        if not raw and method == "GET":
            # The daemon ended while it had our connection. A second GET is harmless, and under socket activation the
            # next daemon answers it.
            raw = _ask(path, request, deadline)
    except TimeoutError:
        raise no_answer_within(timeout, path) from None
    return parse_answer(raw, path)


def check_server(connection: "unix_socket | any_socket", path: str) -> None:
    """Raise `DeniedError` if a socket that was searched for is served by somebody who need not be trusted.

    The server must run as root, as this user, or as the owner of the socket's directory if others may not write there.
    A path that the user named is the user's choice.
    """
    if not isinstance(path, UsualPlace):
        return
    credentials = connection.getsockopt(SOL_SOCKET, SO_PEERCRED, CREDENTIALS_BYTES)
    uid = int.from_bytes(credentials[4:8], sys.byteorder)
    if uid in (0, os.geteuid()):
        return
    directory = os.stat(os.path.dirname(path))  # noqa: PTH116, PTH120
    if uid != directory.st_uid or directory.st_mode & OTHERS_MAY_WRITE:
        raise DeniedError(
            f"{path} is served by uid {uid}, which is neither root nor you, and its directory belongs to uid "
            f"{directory.st_uid}, mode {directory.st_mode & 0o7777:04o}: nothing was sent; if this is your tokend, "
            "name the socket by --socket or $TOKEND_SOCKET",
            code="denied",
        )


def request_bytes(method: str, target: str, headers: "Sequence[tuple[str, str]]", body: bytes) -> bytes:
    """Return a whole HTTP request that asks for one answer and the end of the connection."""
    lines = [f"{method} {target} HTTP/1.1", "Host: tokend", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def no_answer_within(timeout: float, path: str) -> WaitTimeoutError:
    """Return the error for an answer that did not come in time."""
    return WaitTimeoutError(f"tokend at {path} did not answer within {timeout:g} s", code="timeout")


def broken_off(error: OSError, path: str) -> NotRunningError:
    """Return the error for a connection that failed after it was made."""
    return NotRunningError(f"the connection to tokend at {path} broke off ({error.strerror})")


def _ask(path: str, request: bytes, deadline: float) -> bytes:
    """Send a request on a new connection and return the answer; empty if the connection closed without one."""
    connection = unix_socket(AF_UNIX, SOCK_STREAM)
    try:
        _connect(connection, path, deadline)
        check_server(connection, path)
        connection.settimeout(_left(deadline))
        connection.sendall(request)
        return _receive(connection, deadline)
    except ConnectionError:
        return b""
    except TimeoutError:
        raise
    except OSError as error:
        raise broken_off(error, path) from None
    finally:
        connection.close()


def json_object(body: bytes, path: str) -> "dict[str, Any]":
    """Parse a body that must be a JSON object. Raises `NotRunningError` for anything else."""
    import json

    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise NotRunningError(f"what listens at {path} is not tokend: its answer is no JSON object")
    return answer


def _connect(connection: unix_socket, path: str, deadline: float) -> None:
    while True:
        connection.settimeout(_left(deadline))
        try:
            connection.connect(path)
        except BlockingIOError:
            # The daemon's queue is full (EAGAIN, connect(2)): on a socket with a timeout the kernel does not wait.
            time.sleep(BUSY_SECONDS)
        except TimeoutError:
            raise
        except OSError as error:
            raise unconnected(error, path) from None
        else:
            return


def unconnected(error: OSError, path: str) -> "DeniedError | NotRunningError":
    """Return the error for a connection that was not made. Looks up users, which may take time."""
    if isinstance(error, PermissionError):
        return DeniedError(_denial(path), code="denied")
    return NotRunningError(
        f"no daemon at {path} ({error.strerror or error}): is it running? try: systemctl status tokend"
    )


def _denial(path: str) -> str:
    """Describe a socket that this user may not open: its owner and mode, or those of its directory, if readable."""
    import grp
    import pwd

    for place, what in ((path, "it"), (os.path.dirname(path) or ".", "its directory")):  # noqa: PTH120
        try:
            found = os.stat(place)  # noqa: PTH116
            owner = f"{pwd.getpwuid(found.st_uid).pw_name}:{grp.getgrgid(found.st_gid).gr_name}"
        except (OSError, KeyError):
            continue
        mode = found.st_mode & 0o7777
        return (
            f"you may not open {path}: {what} belongs to {owner}, mode {mode:04o}; join that group, or ask to be let in"
        )
    return f"you may not open {path}: join the group that owns it, or ask to be let in"


def _left(deadline: float) -> float:
    """Return the seconds to the deadline, more than 0. Raises `TimeoutError` after it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _receive(connection: unix_socket, deadline: float) -> bytes:
    """Read until the other side closes."""
    parts: list[bytes] = []
    size = 0
    while size <= LARGEST_ANSWER_BYTES:
        connection.settimeout(_left(deadline))
        try:
            chunk = connection.recv(CHUNK_BYTES)
        except ConnectionError:
            # The daemon closed before it read the whole request: the bytes before that are still an answer.
            if not parts:
                raise
            break
        if not chunk:
            break
        parts.append(chunk)
        size += len(chunk)
    return b"".join(parts)


def parse_answer(raw: bytes, path: str) -> "tuple[int, dict[str, str], bytes]":
    """Parse all bytes of a connection as one answer. Raises `NotRunningError` if they are none, or not whole."""
    if not raw:
        raise NotRunningError(f"tokend at {path} closed the connection without an answer: is it stopping?")
    head, separator, body = raw.partition(b"\r\n\r\n")
    lines = head[: LARGEST_HEAD_BYTES + 1].decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    status = rest[:3]
    if not (version.startswith("HTTP/1.") and status.isascii() and status.isdigit() and len(status) == 3):
        raise NotRunningError(f"what listens at {path} is not tokend: it does not speak HTTP")
    if len(raw) > LARGEST_ANSWER_BYTES:
        raise NotRunningError(f"what listens at {path} is not tokend: it answers with more than {len(raw)} bytes")
    if len(head) > LARGEST_HEAD_BYTES:
        raise NotRunningError(f"what listens at {path} is not tokend: its answer has {len(head)} bytes of headers")
    pairs = [line.partition(":") for line in lines[1:]]
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    whole = _body(headers, body) if separator else None
    if whole is None:
        raise NotRunningError(f"the answer of tokend at {path} is incomplete: did it stop meanwhile?")
    return int(status), headers, whole


def _body(headers: "dict[str, str]", body: bytes) -> "bytes | None":
    """Return the body as its headers delimit it; None if a part is missing."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _unchunked(body)
    length = headers.get("content-length")
    if length is None:
        return body
    if not (length.isascii() and length.isdigit() and len(length) < LONGEST_NUMBER) or len(body) < int(length):
        return None
    return body[: int(length)]


def _unchunked(body: bytes) -> "bytes | None":
    # By positions: copies of the rest would make millions of small chunks take hours.
    parts: list[bytes] = []
    start = 0
    while (line_end := body.find(b"\r\n", start)) >= 0:
        try:
            length = int(body[start:line_end].split(b";")[0], 16)
        except ValueError:
            return None
        if length < 0:
            return None
        if length == 0:
            return b"".join(parts)
        begin = line_end + 2
        parts.append(body[begin : begin + length])
        start = begin + length + 2
    return None
