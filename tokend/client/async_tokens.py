"""`AsyncTokenClient`: `TokenClient` for asyncio. Uses the standard library only."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from tokend.client import calls
from tokend.client.async_transport import exchange
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
from tokend.client.transport import TIMEOUT_SECONDS, find_socket, json_object

# In a class with a method called `list`, annotations cannot name the built-in.
Rows = list[dict[str, Any]]


class AsyncTokenClient:
    """Client of one daemon for programs of asyncio. The methods, errors and token files are those of `TokenClient`.

    A client holds no connection and no event loop: one serves any number of tasks and loops, and needs no closing. A
    cancelled call closes its connection at once. ``socket``, ``files`` and ``timeout`` are those of `TokenClient`.
    """

    def __init__(
        self, socket: str | None = None, *, files: str | None = None, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        self._socket = socket
        self._files = files_directory(files)
        self._timeout = timeout

    async def get(self, name: str, *, min_ttl: float | None = None) -> Lease:
        """Return a token that is valid for at least ``min_ttl`` more seconds; from its file if there is no daemon."""
        try:
            return await self._leased(calls.get(name, min_ttl))
        except NotRunningError as error:
            lease = await asyncio.to_thread(lease_from_file, self._files, name, min_ttl or 0.0)
            if lease is None:
                raise error from None
            return lease

    async def refresh(self, name: str, *, if_generation: int | None = None, reason: str | None = None) -> Lease:
        """Request a newer token and wait for it. With ``if_generation`` only if that generation is still the newest."""
        return await self._leased(calls.refresh(name, if_generation, reason))

    async def issue(self, name: str, /, **parameters: str) -> Lease:
        """Issue one on-demand token from parameters. Raises `BadRequestError`, whose ``errors`` has texts per field."""
        return await self._leased(calls.issue(name, parameters))

    async def sign(
        self, name: str, method: str, path: str, *, query: str = "", body: str | bytes = ""
    ) -> dict[str, str]:
        """Return the headers that sign one call to the upstream, for kinds that sign requests (auth-token).

        ``query`` is the text after the ``?``, which ``path`` may have as well; ``body`` the very text that is sent.
        """
        place, _, answer = await self._answer(calls.sign(name, method, path, query, body))
        return read_headers(answer, place)

    async def request_id(self, name: str) -> str:
        """Return a new request id, for kinds that need one per call (tt)."""
        place, _, answer = await self._answer(calls.call("POST", token_target(name, "request-id")))
        return read_request_id(answer, place)

    async def forget(self, name: str) -> None:
        """Drop a compromised token everywhere. For admins."""
        await self.call("POST", token_target(name, "forget"))

    async def sync(self, name: str, *, sink: str | None = None, take_over: bool = False) -> dict[str, Any]:
        """Write the token to its sinks now, or to the one with this label; return its row of the status. For admins.

        Makes no request to the token's upstream. ``take_over``: also where another writer owns the target.
        """
        return (await self._answer(calls.sync(name, sink, take_over)))[2]

    async def inspect(self, name: str) -> dict[str, Any]:
        """Ask each sink what its target holds, and return the token's row of the status with ``drift``. For admins."""
        return await self.call("POST", token_target(name, "inspect"))

    async def list(self) -> Rows:
        """Return names, kinds, states and expiries of all tokens; never a secret."""
        place, _, answer = await self._answer(calls.call("GET", "/v1/tokens"))
        return read_rows(answer, "tokens", place)

    async def status(self) -> dict[str, Any]:
        """Return the object of ``GET /v1/status``."""
        return await self.call("GET", "/v1/status")

    async def reload(self, *, dry_run: bool = False) -> Rows:
        """Make the daemon read its configuration again, or (``dry_run``) only plan it. Returns the plan. For admins."""
        call = calls.call("POST", "/v1/reload" + ("?dry_run=true" if dry_run else ""))
        place, _, answer = await self._answer(call)
        return read_rows(answer, "plan", place)

    async def watch(self, name: str) -> AsyncIterator[Lease]:
        """Yield the present token, then each newer one, for ever. Waits for the daemon while there is none."""
        generation: int | None = None
        while True:
            try:
                path, status, found, body = await self._exchange(
                    calls.watch(name, generation), calls.LONG_POLL_SECONDS + 10
                )
                if status >= 400:
                    raise refusal(status, body)
            except (NotRunningError, UnavailableError):
                await asyncio.sleep(calls.PAUSE_SECONDS)
                continue
            if status == 200:
                lease = read_lease(json_object(body, path), path, found)
                generation = lease.generation
                yield lease

    async def call(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Make any request of the HTTP interface whose answer is a JSON object; return that object."""
        return (await self._answer(calls.call(method, target, body)))[2]

    async def _leased(self, call: Call) -> Lease:
        path, found, answer = await self._answer(call)
        return read_lease(answer, path, found)

    async def _answer(self, call: Call) -> tuple[str, dict[str, str], dict[str, Any]]:
        path, status, found, answer = await self._exchange(call, self._timeout)
        if status >= 400:
            raise refusal(status, answer)
        return path, found, json_object(answer, path)

    async def _exchange(self, call: Call, seconds: float) -> tuple[str, int, dict[str, str], bytes]:
        path = find_socket(self._socket)
        status, found, answer = await exchange(
            path, call.method, call.target, headers=call.headers, body=call.body, timeout=seconds
        )
        return path, status, found, answer
