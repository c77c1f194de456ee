"""Fast path of ``tokend get``: from argv to the socket without click, httpx, pydantic or any other slow import.

`OPTIONS` defines the options once. The parser here reads argv by that table; `get_help` makes click's command from the
same table, for ``--help``, completion, the man page and the explanation of wrong usage.
"""

import time

from tokend.cli.streams import complain, write
from tokend.client.errors import (
    UNREADABLE,
    DeniedError,
    NotRunningError,
    TokendError,
    UnavailableError,
    WaitTimeoutError,
    refusal,
    unreadable,
)
from tokend.client.transport import TIMEOUT_SECONDS, exchange, find_socket, json_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

OUTPUTS = ("raw", "json", "env", "shell", "header", "curl", "k8s", "aws", "gcp", "git", "netrc")
DURATION = "DURATION"
# (names, parameter of `get`, value, help). The value is a metavar, a tuple of choices (the first is the default), or
# None for a flag. `DURATION` values are checked.
OPTIONS: "tuple[tuple[tuple[str, ...], str, str | tuple[str, ...] | None, str], ...]" = (
    (("-o", "--output"), "output", OUTPUTS,
     "The token alone; the daemon's JSON; a NAME_TOKEN=… line for .env files or for the shell; a line per header; the "
     "headers for `curl -K -`; or the format of the program with that name, as described above."),
    (("--host",), "host", "[LOGIN@]HOST", "Machine that the line is for. Required with -o netrc."),
    (("--key",), "key", "KEY", "Name of the variable, with -o env and -o shell [default: NAME_TOKEN]."),
    (("--min-ttl",), "min_ttl", DURATION, "Refresh first if the token ends sooner than this."),
    (("--wait",), "wait", DURATION, "Wait at most this long for a valid token, then exit with 124."),
    (("--refresh",), "refresh", None, "Fetch a newer token first."),
    (("-n",), "no_newline", None, "Print no newline at the end."),
    (("--socket",), "socket", "PATH", "The daemon's socket [default: $TOKEND_SOCKET, else the usual places]."),
)  # fmt: skip
# Longest wait that the daemon accepts in one request (Prefer: wait); a longer --wait takes several requests.
LONGEST_WAIT_SECONDS = 300
PAUSE_SECONDS = 0.2
UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_NUMBER = 12

_VALUED = {name: parameter for names, parameter, value, _ in OPTIONS if value for name in names}
_FLAGS = {name: parameter for names, parameter, value, _ in OPTIONS if not value for name in names}
_DURATIONS = [parameter for _, parameter, value, _ in OPTIONS if value == DURATION]


class WaitRanOutError(TokendError):
    """``--wait`` ended without a suitable token."""

    exit_code = 124


def run(arguments: "Sequence[str]") -> "int | None":
    """Carry out ``tokend get ARGUMENTS`` and return the exit code; None where click must explain the usage."""
    options = parse(arguments)
    return None if options is None else get(**options)


def parse(arguments: "Sequence[str]") -> "dict[str, Any] | None":
    """Read the arguments of `get` from a command line; None for ``--help`` and for everything that is wrong or rare."""
    options: dict[str, Any] = {}
    names: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        key, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if key in _VALUED and (equals or rest):
            options[_VALUED[key]] = value if equals else rest.pop(0)
        elif word.startswith("-o") and len(word) > 2:
            options["output"] = word[2:]
        elif word in _FLAGS:
            options[_FLAGS[word]] = True
        elif word.startswith("-") or names:
            return None
        else:
            names.append(word)
    durations = [options[key] for key in _DURATIONS if key in options]
    output = options.get("output", OUTPUTS[0])
    if not names or output not in OUTPUTS or None in map(duration_seconds, durations):
        return None
    if misused(output, options.get("host"), options.get("key")) is not None:
        return None
    return {"name": names[0], **options}


def get(
    name: str,
    *,
    output: str = OUTPUTS[0],
    min_ttl: "str | None" = None,
    wait: "str | None" = None,
    refresh: bool = False,
    no_newline: bool = False,
    socket: "str | None" = None,
    host: "str | None" = None,
    key: "str | None" = None,
) -> int:
    """Print one token and return the exit code.

    ``min_ttl`` and ``wait`` are texts that `duration_seconds` accepts, ``host`` and ``key`` what `misused` permits.
    """
    query = _Query(name, output, min_ttl, socket, {"host": host, "key": key})
    try:
        data = query.answer(None if wait is None else duration_seconds(wait), refresh)
    except TokendError as error:
        if error.code == "not_supported":
            complain(f"{name!r} is issued on demand: use `tokend issue {name} KEY=VALUE…`")
        else:
            complain(error)
        return error.exit_code
    except UNREADABLE as error:
        found = unreadable(error, "the daemon's socket")
        complain(found)
        return found.exit_code
    except KeyboardInterrupt:
        return 1
    return write(data if no_newline else data + b"\n")


def duration_seconds(duration: str) -> "float | None":
    """Read ``[1-9][0-9]*(ms|s|m|h|d)``; None for anything else. (`re` would cost a tenth of the whole command.)"""
    number = duration[: -2 if duration.endswith("ms") else -1]
    unit = UNIT_SECONDS.get(duration[len(number) :])
    if unit is None or not (number.isascii() and number.isdigit()) or number[0] == "0" or len(number) > LONGEST_NUMBER:
        return None
    return float(int(number) * unit)


def misused(output: str, host: "str | None", key: "str | None") -> "str | None":
    """Explain what is wrong with ``--host`` and ``--key`` for an output; None if nothing is."""
    if (output == "netrc") != (host is not None):
        return "-o netrc needs --host [LOGIN@]HOST, and no other output takes it"
    if key is None:
        return None
    if output not in ("env", "shell"):
        return "--key is for -o env and -o shell: no other output has a variable"
    return (
        None if key.isascii() and key.isidentifier() else "--key is a variable: letters, digits and _, no digit first"
    )


class _Query:
    """One ``tokend get``: the requests to the daemon, repeated until the answer is suitable or the wait ends."""

    def __init__(
        self, name: str, output: str, min_ttl: "str | None", socket: "str | None", options: "dict[str, str | None]"
    ) -> None:
        self._name = name
        self._output = output
        self._min_ttl = min_ttl
        self._socket = socket
        self._options = options
        # Generation that is not suitable: the one before a refresh that failed.
        self._unsuitable: int | None = None

    def answer(self, wait: "float | None", refresh: bool) -> bytes:
        """Return the bytes for stdout. Raises a `TokendError`; with ``wait`` (seconds) only after that time."""
        deadline = None if wait is None else time.monotonic() + wait
        reason: TokendError | None = None
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                path = find_socket(self._socket)
                if refresh:
                    self._refresh(path, left)
                return self._read(path, left)
            except NotRunningError as error:
                reason = error
            except UnavailableError as error:
                # One request for a refresh is enough: after a failure the daemon retries by its own schedule.
                refresh = False
                # The reason for the missing token says more than the end of one wait.
                reason = reason if reason and isinstance(error, WaitTimeoutError) else error
            if deadline is None:
                raise reason
            left = deadline - time.monotonic()
            if left <= 0:
                raise WaitRanOutError(f"no suitable token after {wait:.10g} s: {reason}")
            time.sleep(min(PAUSE_SECONDS, left))

    def _refresh(self, path: str, left: "float | None") -> None:
        """Request a newer token. If that fails, only a generation other than the present one is suitable."""
        target = f"/v1/tokens/{quoted(self._name)}/refresh"
        timeout = TIMEOUT_SECONDS if left is None else left + 1
        self._unsuitable = self._generation(path)
        status, _, body = exchange(path, "POST", target, timeout=timeout)
        if status >= 400 and isinstance(refusal(status, body), DeniedError) and self._unsuitable is not None:
            # Only admins may refresh unconditionally. Every reader may refresh if the generation is still this one.
            content = b'{"if_generation":%d,"reason":"command line"}' % self._unsuitable
            headers = [("Content-Type", "application/json")]
            status, _, body = exchange(path, "POST", target, headers=headers, body=content, timeout=timeout)
        if status >= 400:
            raise refusal(status, body)
        self._unsuitable = None

    def _generation(self, path: str) -> "int | None":
        """Return the newest generation; None where there is none that this user may see."""
        status, _, body = exchange(path, "GET", "/v1/tokens")
        if status >= 400:
            raise refusal(status, body)
        rows = json_object(body, path).get("tokens", ())
        generations = [row["generation"] for row in rows if row["name"] == self._name]
        return generations[0] if generations else None

    def _read(self, path: str, left: "float | None") -> bytes:
        accepted = "text/plain" if self._output == "raw" else "application/json"
        headers = [("Accept", accepted)]
        if left is not None and left >= 1:
            headers.append(("Prefer", f"wait={int(min(left, LONGEST_WAIT_SECONDS))}"))
        if self._unsuitable is not None:
            headers.append(("If-None-Match", f'"{self._unsuitable}"'))
        target = f"/v1/tokens/{quoted(self._name)}" + ("" if self._min_ttl is None else f"?min_ttl={self._min_ttl}")
        timeout = TIMEOUT_SECONDS if left is None else left + 1
        status, found, body = exchange(path, "GET", target, headers=headers, timeout=timeout)
        if status == 304:
            raise UnavailableError(f"there is no newer token {self._name!r} yet")
        if status >= 400:
            raise refusal(status, body)
        if not found.get("content-type", "").startswith(accepted):
            # Any server may answer 200; only an answer of tokend may be printed as a token.
            raise NotRunningError(f"what listens at {path} is not tokend: its answer is no {accepted}")
        if self._output in ("raw", "json"):
            return body.rstrip(b"\n")
        from tokend.cli.output_formats import render

        text = render(json_object(body, path), self._output, **self._options)
        return text.encode(errors="backslashreplace")


def quoted(name: str) -> str:
    """Percent-encode a name for the URL, whatever characters it has."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else _percent(c) for c in name)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
