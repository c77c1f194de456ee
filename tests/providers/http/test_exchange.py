"""One exchange: names of one moment, counters that were saved before, secrets that no message shows."""

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.providers.http.asking import TOKEN, ask, error_of, granted, said, settings, token_of
from tests.providers.live import ENVIRON, LiveRuntime
from tests.upstream.loopback import Behaviour, serving
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.login import Remembered
from tokend.providers.http.exchange import COUNTERS_KEY
from tokend.values.errors import AttemptError, ClockError, StoreError, TransientError
from tokend.values.tokens import JSON, Token

# A clock that can be right.
THEN = 1_800_000_000
COUNTED: dict[str, Any] = {"request": {"json": {"ms": "{counter_ms}", "us": "{counter_us}", "at": "{now_ms}"}}}


class Noting(LiveRuntime):
    """A runtime that notes the order in which it was used."""

    def __init__(self, made: Any, **more: Any) -> None:
        super().__init__(made, **more)
        self.order: list[str] = []

    async def remember(self, key: str, document: JSON) -> None:
        self.order.append("saved")
        await super().remember(key, document)

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        self.order.append("sent")
        return await super().exchange(request)


class Full(LiveRuntime):
    """A runtime whose disk is full."""

    async def commit(self, key: str, change: Callable[[JSON], JSON]) -> JSON:
        raise StoreError("no space left on device")


def counted(
    *script: Behaviour, last: JSON = None, attempts: int = 1, offset: float = 0.0, **runtime: Any
) -> tuple[list[Any], Noting]:
    """Return the bodies of attempts, or their errors, and the runtime."""

    async def main() -> tuple[list[Any], Noting]:
        found: list[Any] = []
        async with serving(*script) as server:
            made = settings(server.url, **COUNTED)
            noting = Noting(made, **{"unix": THEN, **runtime})
            noting.offset = offset
            if last is not None:
                noting.kept[COUNTERS_KEY] = Remembered(last, noting.clock.instant())
            for _ in range(attempts):
                try:
                    await made.fetch(noting, None)
                    found.append(json.loads(server.requests[-1].body))
                except AttemptError as error:
                    found.append(error)
            return found, noting

    return anyio.run(main)


def test_a_counter_is_the_present_time_and_rises_with_each_request() -> None:
    """The clock stands still here."""
    bodies, noting = counted(granted(), attempts=3)
    assert [body["ms"] for body in bodies] == [THEN * 1000, THEN * 1000 + 1, THEN * 1000 + 2]
    assert [body["us"] for body in bodies] == [THEN * 10**6, THEN * 10**6 + 1, THEN * 10**6 + 2]
    assert bodies[0]["at"] == THEN * 1000
    assert noting.order == ["saved", "sent"] * 3


def test_a_counter_is_saved_also_where_the_request_fails() -> None:
    """The server may have seen it."""
    outcomes, noting = counted(said(500), granted(), attempts=2)
    assert isinstance(outcomes[0], TransientError)
    assert outcomes[1]["ms"] == THEN * 1000 + 1
    assert noting.kept[COUNTERS_KEY].document == {"counter_ms": THEN * 1000 + 1, "counter_us": THEN * 10**6 + 1}


@pytest.mark.parametrize(
    ("last", "first"),
    [
        ({"counter_ms": THEN * 2000}, THEN * 2000 + 1), ({"counter_ms": True}, THEN * 1000),
        ({"counter_ms": "9"}, THEN * 1000), ([], THEN * 1000), ({"counter_ns": 5}, THEN * 1000),
    ],
)  # fmt: skip
def test_a_counter_goes_on_from_the_last_one_that_was_kept(last: JSON, first: int) -> None:
    """A clock that was set back repeats none; what is kept and is no counter does not matter."""
    bodies, _ = counted(granted(), last=last)
    assert bodies[0]["ms"] == first


@pytest.mark.parametrize("unix", [0.0, 4_102_444_800.0])
def test_no_counter_is_made_of_a_clock_that_cannot_be_right(unix: float) -> None:
    """All later requests would have to count on from it. Nothing is sent, nothing is kept."""
    outcomes, noting = counted(granted(), unix=unix)
    assert isinstance(outcomes[0], ClockError)
    assert noting.order == []


@pytest.mark.parametrize("years", [10, 100])
def test_no_counter_is_made_of_a_servers_clock_that_cannot_be_right(years: int) -> None:
    """It was learned from one reply, and the counter would go on from it for years: this machine's clock makes it."""
    bodies, _ = counted(granted(), offset=years * 365 * 86400.0)
    assert bodies[0]["ms"] == THEN * 1000
    bodies, _ = counted(granted(), offset=3600.0)
    assert bodies[0]["ms"] == (THEN + 3600) * 1000


def test_a_request_without_a_counter_keeps_nothing() -> None:
    """No write for each attempt."""

    async def main() -> None:
        async with serving(granted()) as server:
            made = settings(server.url)
            noting = Noting(made)
            await made.fetch(noting, None)
            assert noting.order == ["sent"]

    anyio.run(main)


def test_headers_for_readers_may_hold_secrets_and_values() -> None:
    """They are made with the token; a header with the token alone follows the settings at once."""
    values = {"sig": {"hmac": "sha256", "key": "secret", "parts": ["token"]}}
    headers = {"Authorization": "token {key}:{token}", "X-Sig": "{sig}"}
    token = token_of(granted(), values=values, headers=headers)
    clear = {name: value.reveal() for name, value in token.headers.items()}
    assert clear["Authorization"] == f"token {ENVIRON['API_KEY']}:{TOKEN}"
    assert len(clear["X-Sig"]) == 64
    made = settings(values=values, headers={**headers, "X-New": "{token}"})
    assert made.ready_headers(token) == {**clear, "X-New": TOKEN}
    assert settings().ready_headers(token) == {"Authorization": f"Bearer {TOKEN}"}


def test_a_header_that_was_not_made_with_the_token_is_left_out() -> None:
    """The settings have changed, and the next token brings it."""
    token = token_of(granted())
    changed = settings(headers={"X-Key": "{key}", "X-T": "{token}"})
    assert changed.ready_headers(token) == {"Authorization": f"Bearer {TOKEN}", "X-T": TOKEN}


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_what_a_server_echoes_is_masked_also_what_was_computed(status: int) -> None:
    """The words are for administrators."""
    values = {"basic": {"parts": ["key", {"text": ":"}, "secret"], "output": "base64", "prefix": "Basic "}}
    request = {"json": None, "headers": {"Authorization": "{basic}"}}
    sent, server = ask(granted(), values=values, request=request)
    assert isinstance(sent, Token)
    scheme, words = server.requests[0].headers["authorization"].split()
    error = error_of(said(status, message=f"no {words} here"), values=values, request=request)
    assert error.said == "no *** here"
    assert words not in repr(error)
    assert scheme == "Basic"


def test_nothing_is_sent_with_a_counter_that_cannot_be_saved() -> None:
    """It could be used again after a restart."""

    async def main() -> None:
        async with serving(granted()) as server:
            made = settings(server.url, **COUNTED)
            noting = Full(made, unix=THEN)
            with pytest.raises(TransientError, match="the counter of the request cannot be saved: no space") as found:
                await made.fetch(noting, None)
            assert not found.value.is_sent
            assert server.requests == []

    anyio.run(main)


def test_a_body_that_is_too_large_was_not_sent() -> None:
    """A login that is refreshed so is not in doubt."""
    error = error_of(granted(), request={"json": {"text": "x" * 65_536}})
    assert isinstance(error, TransientError)
    assert not error.is_sent
