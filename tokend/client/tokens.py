"""`TokenClient`: tokens as Python values, from the socket or, without a daemon, from the token files."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from tokend.client import calls
from tokend.client.calls import Call, token_target
from tokend.client.errors import NotRunningError, UnavailableError, refusal
from tokend.client.leases import (
    Lease,
    files_directory,
    lease_from_file,
    read_headers,
    read_lease,
    read_request_id,
    read_rows,
)
from tokend.client.transport import TIMEOUT_SECONDS, exchange, find_socket, json_object

# In a class with a method called `list`, annotations cannot name the built-in.
Rows = list[dict[str, Any]]


class TokenClient:
    """Client of one daemon. Every method raises a subclass of `TokendError`, whose message gives the reason.

    ``socket`` is its path [default: $TOKEND_SOCKET, else the usual places], ``files`` the directory of the token
    files that `get` falls back to [default: $TOKEND_FILES, else /run/tokend], ``timeout`` seconds per request.
    """

    def __init__(
        self, socket: str | None = None, *, files: str | None = None, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        self._socket = socket
        self._files = files_directory(files)
        self._timeout = timeout

    def get(self, name: str, *, min_ttl: float | None = None) -> Lease:
        """Return a token that is valid for at least ``min_ttl`` more seconds; from its file if there is no daemon."""
        try:
            return self._leased(calls.get(name, min_ttl))
        except NotRunningError as error:
            if (lease := lease_from_file(self._files, name, min_ttl or 0.0)) is None:
                raise error from None
            return lease

    def refresh(self, name: str, *, if_generation: int | None = None, reason: str | None = None) -> Lease:
        """Request a newer token and wait for it. With ``if_generation`` only if that generation is still the newest."""
        return self._leased(calls.refresh(name, if_generation, reason))

    def issue(self, name: str, /, **parameters: str) -> Lease:
        """Issue one on-demand token from parameters. Raises `BadRequestError`, whose ``errors`` has texts per field."""
        return self._leased(calls.issue(name, parameters))

    def sign(self, name: str, method: str, path: str, *, query: str = "", body: str | bytes = "") -> dict[str, str]:
        """Return the headers that sign one call to the upstream, for kinds that sign requests (auth-token).

        ``query`` is the text after the ``?``, which ``path`` may have as well; ``body`` the very text that is sent.
        """
        place, _, answer = self._answer(calls.sign(name, method, path, query, body))
        return read_headers(answer, place)

    def request_id(self, name: str) -> str:
        """Return a new request id, for kinds that need one per call (tt)."""
        place, _, answer = self._answer(calls.call("POST", token_target(name, "request-id")))
        return read_request_id(answer, place)

    def forget(self, name: str) -> None:
        """Drop a compromised token everywhere. For admins."""
        self.call("POST", token_target(name, "forget"))

    def sync(self, name: str, *, sink: str | None = None, take_over: bool = False) -> dict[str, Any]:
        """Write the token to its sinks now, or to the one with this label; return its row of the status. For admins.

        Makes no request to the token's upstream. ``take_over``: also where another writer owns the target.
        """
        return self._answer(calls.sync(name, sink, take_over))[2]

    def inspect(self, name: str) -> dict[str, Any]:
        """Ask each sink what its target holds, and return the token's row of the status with ``drift``. For admins."""
        return self.call("POST", token_target(name, "inspect"))

    def list(self) -> Rows:
        """Return names, kinds, states and expiries of all tokens; never a secret."""
        place, _, answer = self._answer(calls.call("GET", "/v1/tokens"))
        return read_rows(answer, "tokens", place)

    def status(self) -> dict[str, Any]:
        """Return the object of ``GET /v1/status``."""
        return self.call("GET", "/v1/status")

    def reload(self, *, dry_run: bool = False) -> Rows:
        """Make the daemon read its configuration again, or (``dry_run``) only plan it. Returns the plan. For admins."""
        call = calls.call("POST", "/v1/reload" + ("?dry_run=true" if dry_run else ""))
        place, _, answer = self._answer(call)
        return read_rows(answer, "plan", place)

    def watch(self, name: str) -> Iterator[Lease]:
        """Yield the present token, then each newer one, for ever. Waits for the daemon while there is none."""
        generation: int | None = None
        while True:
            try:
                path, status, found, body = self._exchange(calls.watch(name, generation), calls.LONG_POLL_SECONDS + 10)
                if status >= 400:
                    raise refusal(status, body)
            except (NotRunningError, UnavailableError):
                time.sleep(calls.PAUSE_SECONDS)
                continue
            if status == 200:
                lease = read_lease(json_object(body, path), path, found)
                generation = lease.generation
                yield lease

    def call(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Make any request of the HTTP interface whose answer is a JSON object; return that object."""
        return self._answer(calls.call(method, target, body))[2]

    def _leased(self, call: Call) -> Lease:
        path, found, answer = self._answer(call)
        return read_lease(answer, path, found)

    def _answer(self, call: Call) -> tuple[str, dict[str, str], dict[str, Any]]:
        path, status, found, answer = self._exchange(call, self._timeout)
        if status >= 400:
            raise refusal(status, answer)
        return path, found, json_object(answer, path)

    def _exchange(self, call: Call, timeout: float) -> tuple[str, int, dict[str, str], bytes]:
        path = find_socket(self._socket)
        status, found, answer = exchange(
            path, call.method, call.target, headers=call.headers, body=call.body, timeout=timeout
        )
        return path, status, found, answer


def token(name: str, *, min_ttl: float | None = None) -> str:
    """Return the access token of ``name``, valid now and for ``min_ttl`` more seconds."""
    return TokenClient().get(name, min_ttl=min_ttl).access_token
