"""``tokend get``: straight from argv to the socket. Imports nothing that costs time; click only shows its help."""

import time

from tokend.cli.streams import complain, write
from tokend.client.errors import (
    DeniedError,
    NotRunningError,
    TokendError,
    UnavailableError,
    WaitTimeoutError,
    refusal,
)
from tokend.client.transport import TIMEOUT_SECONDS, exchange, find_socket, json_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

OUTPUTS = ("raw", "json", "env", "shell", "header", "curl", "k8s", "aws", "gcp", "git", "netrc")
# The daemon waits no longer at a time (Prefer: wait); we ask again.
LONGEST_WAIT_SECONDS = 300
PAUSE_SECONDS = 0.2
UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_NUMBER = 12

_VALUED = {
    "-o": "output", "--output": "output", "--min-ttl": "min_ttl", "--wait": "wait", "--socket": "socket",
    "--host": "host",
}  # fmt: skip
_FLAGS = {"--refresh": "refresh", "-n": "no_newline"}


class WaitRanOutError(TokendError):
    """--wait ended without a token that will do."""

    exit_code = 124


def run(arguments: "Sequence[str]") -> "int | None":
    """Carry out ``tokend get ARGUMENTS``; None where click should explain (help, wrong usage)."""
    options = _parse(arguments)
    return None if options is None else get(**options)


def get(
    name: str,
    *,
    output: str = "raw",
    min_ttl: "str | None" = None,
    wait: "str | None" = None,
    refresh: bool = False,
    no_newline: bool = False,
    socket: "str | None" = None,
    host: "str | None" = None,
) -> int:
    """Print one token; returns the exit code. Durations are texts that `seconds` can read, ``host`` is for netrc."""
    question = _Question(name, output, min_ttl, socket, host)
    try:
        data = question.answer(None if wait is None else seconds(wait), refresh)
    except TokendError as error:
        if error.code == "not_supported":
            complain(f"{name!r} is issued on demand: use `tokend issue {name} KEY=VALUE…`")
        else:
            complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 1
    return write(data if no_newline else data + b"\n")


def seconds(duration: str) -> "float | None":
    """Read ``[1-9][0-9]*(ms|s|m|h|d)``; None for anything else. (`re` would cost a tenth of the whole command.)"""
    number = duration[: -2 if duration.endswith("ms") else -1]
    unit = UNIT_SECONDS.get(duration[len(number) :])
    if unit is None or not (number.isascii() and number.isdigit()) or number[0] == "0" or len(number) > LONGEST_NUMBER:
        return None
    return float(int(number) * unit)


def _parse(arguments: "Sequence[str]") -> "dict[str, Any] | None":
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
    durations = [options[key] for key in ("min_ttl", "wait") if key in options]
    output = options.get("output", "raw")
    if not names or output not in OUTPUTS or None in map(seconds, durations):
        return None
    if (output == "netrc") != ("host" in options):
        return None
    return {"name": names[0], **options}


class _Question:
    """One ``tokend get``: what is asked of the daemon, once or until the answer will do."""

    def __init__(self, name: str, output: str, min_ttl: "str | None", socket: "str | None", host: "str | None") -> None:
        self._name = name
        self._output = output
        self._min_ttl = min_ttl
        self._socket = socket
        self._host = host
        # Only another generation than this will do.
        self._other_than: int | None = None

    def answer(self, wait: "float | None", refresh: bool) -> bytes:
        """What goes to stdout. Raises a `TokendError`, with ``wait`` only after so many seconds."""
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
                # A refresh is asked for once; if it fails the daemon goes on trying at its own pace.
                refresh = False
                # That a wait ended says less than why there is no token.
                reason = reason if reason and isinstance(error, WaitTimeoutError) else error
            if deadline is None:
                raise reason
            left = deadline - time.monotonic()
            if left <= 0:
                raise WaitRanOutError(f"waited {wait:.10g} s in vain: {reason}")
            time.sleep(min(PAUSE_SECONDS, left))

    def _refresh(self, path: str, left: "float | None") -> None:
        """Have a newer token fetched. If that fails, only another one than there was before will do."""
        target = f"/v1/tokens/{quoted(self._name)}/refresh"
        timeout = TIMEOUT_SECONDS if left is None else left + 1
        self._other_than = self._generation(path)
        status, _, body = exchange(path, "POST", target, timeout=timeout)
        if status >= 400 and isinstance(refusal(status, body), DeniedError) and self._other_than is not None:
            # Unconditional refreshes are for admins; everybody may say which generation will not do.
            content = b'{"if_generation":%d}' % self._other_than
            headers = [("Content-Type", "application/json")]
            status, _, body = exchange(path, "POST", target, headers=headers, body=content, timeout=timeout)
        if status >= 400:
            raise refusal(status, body)
        self._other_than = None

    def _generation(self, path: str) -> "int | None":
        """The newest generation there was, None if there is none (that we may see)."""
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
        if self._other_than is not None:
            headers.append(("If-None-Match", f'"{self._other_than}"'))
        target = f"/v1/tokens/{quoted(self._name)}" + ("" if self._min_ttl is None else f"?min_ttl={self._min_ttl}")
        timeout = TIMEOUT_SECONDS if left is None else left + 1
        status, found, body = exchange(path, "GET", target, headers=headers, timeout=timeout)
        if status == 304:
            raise UnavailableError(f"there is no newer token {self._name!r} yet")
        if status >= 400:
            raise refusal(status, body)
        if not found.get("content-type", "").startswith(accepted):
            # Anything may answer 200; only a token may be printed as one.
            raise NotRunningError(f"what listens at {path} is not tokend: its answer is no {accepted}")
        if self._output in ("raw", "json"):
            return body.rstrip(b"\n")
        from tokend.cli.output_formats import render

        return render(json_object(body, path), self._output, host=self._host).encode()


def quoted(name: str) -> str:
    """Percent-encode a name for the URL, whatever it is."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else _percent(c) for c in name)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
