"""One HTTP exchange over tokend's Unix socket, and what its refusals mean. Made to be imported in a millisecond.

`_socket` instead of `socket`: the latter's imports cost as much as starting Python does.
"""

import os
from _socket import AF_UNIX, SOCK_STREAM
from _socket import socket as unix_socket

TYPE_CHECKING = False  # `typing` is as costly as `socket`; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT_SECONDS = 40.0  # the daemon itself answers within 30 s
CHUNK_BYTES = 65536


class TokendError(Exception):
    """tokend could not do it; the message says why. ``code`` is the problem's code, ``retry_at`` RFC 3339 or None."""

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        code: str = "internal",
        retry_at: "str | None" = None,
        errors: "dict[str, list[str]] | list[dict[str, str]] | None" = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_at = retry_at
        self.errors = errors


class BadRequestError(TokendError):
    """The request or its parameters are wrong; ``errors`` maps fields to texts where they are known."""

    exit_code = 2


class NotRunningError(TokendError):
    """There is no daemon at the socket."""

    exit_code = 3


class UnknownTokenError(TokendError):
    """No such token, or none that this user may see."""

    exit_code = 5


class DeniedError(TokendError):
    """This user may not do that, or not open the socket."""

    exit_code = 6


class UnavailableError(TokendError):
    """There is no valid token now."""

    exit_code = 7


class LoginRequiredError(UnavailableError):
    """There is no valid token, and a person must act."""

    exit_code = 4


class RateLimitedError(UnavailableError):
    """It is too early to ask again."""


class WaitTimeoutError(UnavailableError):
    """The wait ran out."""


_ERRORS: "dict[str, type[TokendError]]" = {
    "bad_request": BadRequestError,
    "config_invalid": BadRequestError,
    "denied": DeniedError,
    "generation_conflict": BadRequestError,
    "login_required": LoginRequiredError,
    "not_acceptable": BadRequestError,
    "not_supported": BadRequestError,
    "rate_limited": RateLimitedError,
    "timeout": WaitTimeoutError,
    "token_unavailable": UnavailableError,
    "too_large": BadRequestError,
    "unknown_token": UnknownTokenError,
    "unsupported_media_type": BadRequestError,
}


def find_socket(explicit: "str | None" = None, environ: "Mapping[str, str]" = os.environ) -> str:
    """The socket's path: ``explicit``, else $TOKEND_SOCKET, else the first of the usual places that exists."""
    if explicit:
        return explicit
    if environ.get("TOKEND_SOCKET"):
        return environ["TOKEND_SOCKET"]
    places = ["/run/tokend/tokend.sock", "/run/tokend.sock"]
    if environ.get("XDG_RUNTIME_DIR"):
        places.insert(0, environ["XDG_RUNTIME_DIR"] + "/tokend/tokend.sock")
    for place in places:
        try:
            os.stat(place)  # noqa: PTH116  (pathlib costs ten times this module)
        except PermissionError:
            return place
        except OSError:
            continue
        return place
    return places[0]


def exchange(
    path: str,
    method: str,
    target: str,
    *,
    headers: "Sequence[tuple[str, str]]" = (),
    body: bytes = b"",
    timeout: float = TIMEOUT_SECONDS,
) -> "tuple[int, dict[str, str], bytes]":
    """Send one request; returns (status, {lower-case header: value}, body). Raises `NotRunningError`, `DeniedError`."""
    lines = [f"{method} {target} HTTP/1.1", "Host: tokend", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    connection = unix_socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        _connect(connection, path)
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        parts = []
        while chunk := connection.recv(CHUNK_BYTES):
            parts.append(chunk)
    except TimeoutError:
        raise WaitTimeoutError(f"tokend at {path} did not answer within {timeout:g} s", code="timeout") from None
    except OSError as error:
        raise NotRunningError(f"the connection to tokend at {path} broke off ({error.strerror})") from None
    finally:
        connection.close()
    return _parse(b"".join(parts), path)


def _connect(connection: unix_socket, path: str) -> None:
    try:
        connection.connect(path)
    except PermissionError:
        raise DeniedError(
            f"you may not open {path}: join the group that owns the socket (tokend-clients?)", code="denied"
        ) from None
    except OSError as error:
        raise NotRunningError(
            f"no daemon at {path} ({error.strerror or error}): is it running? try: systemctl status tokend"
        ) from None


def _parse(raw: bytes, path: str) -> "tuple[int, dict[str, str], bytes]":
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    try:
        status = int(lines[0].split(" ", 2)[1])
    except (IndexError, ValueError):
        raise NotRunningError(f"what listens at {path} is not tokend") from None
    pairs = [line.partition(":") for line in lines[1:]]
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _unchunked(body)
    elif "content-length" in headers and len(body) < int(headers["content-length"]):
        raise NotRunningError(f"the answer of tokend at {path} is incomplete: did it stop?")
    return status, headers, body


def _unchunked(body: bytes) -> bytes:
    parts = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if not length:
            break
        parts.append(rest[:length])
        body = rest[length + 2 :]
    return b"".join(parts)


def refusal(status: int, body: bytes) -> TokendError:
    """The error that an answer with ``status`` >= 400 means."""
    import json

    try:
        problem = json.loads(body)
        code, detail = str(problem["code"]), str(problem.get("detail") or problem.get("title"))
    except (ValueError, KeyError, TypeError):
        return TokendError(f"tokend answered {status} without saying why")
    kind = _ERRORS.get(code, TokendError)
    return kind(detail, code=code, retry_at=problem.get("retry_at"), errors=problem.get("errors"))
