"""The outbound client against a server that misbehaves in every way that the catalogue of promises names."""

import asyncio
import gzip
import socket
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import pytest

from tests.upstream.clocks import StandingClock
from tests.upstream.loopback import Behaviour, Loopback, Reachable, raw, reply, reset, serving, silent, slow_loris
from tokend import __version__
from tokend.plugin.connection_settings import LARGEST_BODY_BYTES
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.upstream.client import Upstream
from tokend.values.errors import SecretError, TransientError
from tokend.values.secret import Secret

NOW = 1_700_000_000
FAKE_SECRET = "obviously-fake-secret"


async def ask(loopback: Loopback, *, seconds: float = 20, clock: Any = None, **settings: Any) -> UpstreamReply:
    """Make one POST with a secret in a header and in the body."""
    upstream = Upstream(
        Reachable(timeout=timedelta(seconds=seconds), **settings), clock=clock or StandingClock(NOW, goes=True)
    )
    request = UpstreamRequest("POST", f"{loopback.url}/token", {"x-api-key": Secret(FAKE_SECRET)}, FAKE_SECRET.encode())
    return await upstream.exchange(request)


def answered(*script: Behaviour, **how: Any) -> tuple[UpstreamReply, Loopback]:
    """The reply to one request."""

    async def main() -> tuple[UpstreamReply, Loopback]:
        async with serving(*script) as loopback:
            return await ask(loopback, **how), loopback

    return anyio.run(main)


def failed(*script: Behaviour, **how: Any) -> tuple[TransientError, Loopback]:
    """The error of one request, which quotes no secret and has no visible cause."""

    async def main() -> tuple[TransientError, Loopback]:
        async with serving(*script) as loopback:
            with pytest.raises(TransientError) as caught:
                await ask(loopback, **how)
            return caught.value, loopback

    error, loopback = anyio.run(main)
    assert FAKE_SECRET not in str(error)
    assert f"127.0.0.1:{loopback.port}" in str(error)
    assert error.__suppress_context__ or error.__context__ is None
    return error, loopback


def test_a_request_is_sent_to_the_byte() -> None:
    """The bytes that were signed are the bytes that are sent; no encoding is asked for; the product is named."""
    reply_, loopback = answered(reply(b'{"a":1}', headers={"X-Thing": "yes"}))
    (request,) = loopback.requests
    assert (request.method, request.target, request.body) == ("POST", "/token", FAKE_SECRET.encode())
    assert request.headers["x-api-key"] == FAKE_SECRET
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"] == f"tokend/{__version__}"
    assert request.headers["content-length"] == str(len(FAKE_SECRET))
    assert (reply_.status, reply_.body, reply_.headers["x-thing"]) == (200, b'{"a":1}', "yes")
    assert "yes" not in repr(reply_)
    assert '{"a"' not in repr(reply_)


@pytest.mark.parametrize("status", [204, 400, 401, 404, 429, 500, 503])
def test_every_status_is_a_reply(status: int) -> None:
    """What a status means is not the client's part."""
    assert answered(reply(b"", status=status))[0].status == status


def test_nobody_listening_is_transient_and_repeatable() -> None:
    """docs/promises.md 1: no connection, so the call had no effect and an issue may repeat it."""

    async def main() -> TransientError:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            upstream = Upstream(Reachable(), clock=StandingClock(NOW))
            with pytest.raises(TransientError) as caught:
                await upstream.exchange(UpstreamRequest("GET", f"http://127.0.0.1:{unused.getsockname()[1]}/"))
            return caught.value

    error = anyio.run(main)
    assert error.repeatable
    assert not error.is_sent
    assert "refused" in str(error)


def test_an_unknown_name_is_transient_and_repeatable() -> None:
    """docs/promises.md 23: a resolver's failure says nothing about the credentials. (.invalid: RFC 6761.)"""

    async def main() -> TransientError:
        upstream = Upstream(Reachable(), clock=StandingClock(NOW))
        with pytest.raises(TransientError) as caught:
            await upstream.exchange(UpstreamRequest("GET", "http://nowhere.invalid/"))
        return caught.value

    error = anyio.run(main)
    assert error.repeatable
    assert not error.is_sent
    assert "nowhere.invalid:80" in str(error)


@pytest.mark.parametrize("behaviour", [silent, slow_loris], ids=["silent", "slow-loris"])
def test_the_deadline_is_total(behaviour: Behaviour) -> None:
    """docs/promises.md 2 and 3: neither silence nor a byte now and then outlives the timeout; the socket is closed."""
    error, loopback = failed(behaviour, seconds=0.3)
    assert error.repeatable
    assert error.is_sent
    assert "0.3 s" in str(error)
    assert loopback.open_now == 0


def test_a_cancelled_exchange_leaves_no_connection() -> None:
    """docs/promises.md 2: no descriptor is leaked when the caller gives up."""

    async def main() -> None:
        async with serving(silent) as loopback, anyio.create_task_group() as tasks:
            tasks.start_soon(ask, loopback)
            await loopback.asked.wait()
            assert loopback.open_now == 1
            tasks.cancel_scope.cancel()
            async with asyncio.timeout(10):
                await loopback.closed.wait()

    anyio.run(main)


@pytest.mark.parametrize(
    ("behaviour", "is_answered"),
    [
        (reset, False),
        (raw(b""), False),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"), True),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), True),
        (raw(b"SSH-2.0-OpenSSH\r\n\r\n"), False),
        (raw(b"\x00\x01\x02\r\n\r\n"), False),
    ],
    ids=["reset", "nothing", "truncated", "half a chunk", "another protocol", "garbage"],
)
def test_a_broken_answer_is_transient_and_not_repeated(behaviour: Behaviour, is_answered: bool) -> None:
    """docs/promises.md 8 and 9: the call may have had its effect, so that an issue must not repeat it."""
    error, _ = failed(behaviour)
    assert not error.repeatable
    assert error.is_sent
    assert error.is_answered is is_answered


@pytest.mark.parametrize(
    ("behaviour", "is_void"),
    [
        (reset, False),
        (raw(b""), False),
        (silent, False),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"), True),
        (raw(b"HTTP/1.1 503 Down\r\nContent-Length: 50\r\n\r\n{"), False),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), True),
        (raw(b"SSH-2.0-OpenSSH\r\n\r\n"), True),
        (reply(b"{}", headers={"Content-Encoding": "gzip"}), True),
        (reply(b"{}", status=429, headers={"Content-Encoding": "gzip"}), False),
        (reply(b" " * (LARGEST_BODY_BYTES + 1)), True),
        (reply(b" " * (LARGEST_BODY_BYTES + 1), status=500), False),
    ],
)
def test_an_answer_that_is_none_is_told_from_no_answer_and_from_a_pause(behaviour: Behaviour, is_void: bool) -> None:
    """A server that answers nonsense is there; one that asks to wait says so by its status, whatever follows it."""
    error, _ = failed(behaviour, seconds=0.5 if behaviour is silent else 10)
    assert error.is_void is is_void


@pytest.mark.parametrize("length", [True, False], ids=["announced", "unannounced"])
def test_a_huge_body_is_cut(length: bool) -> None:
    """docs/promises.md 10: not a byte more than the cap is kept, announced or not."""
    error, _ = failed(reply(b" " * (LARGEST_BODY_BYTES + 1), length=length))
    assert "256 KiB" in str(error)


def test_a_body_of_just_the_cap_is_read() -> None:
    """The cap is a limit, not a length."""
    assert len(answered(reply(b" " * LARGEST_BODY_BYTES))[0].body) == LARGEST_BODY_BYTES


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip", "GZIP"])
def test_an_encoded_body_is_refused(encoding: str) -> None:
    """docs/promises.md 11: a gzip bomb behind the cap cost 135 MiB."""
    error, _ = failed(reply(gzip.compress(b'{"token":"x"}'), headers={"Content-Encoding": encoding}))
    assert "encoding" in str(error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(status: int) -> None:
    """docs/promises.md 21: 307 and 308 would send the secrets again; the target hears nothing."""

    async def main() -> None:
        async with serving(reply(b"{}")) as target, serving(silent) as loopback:
            loopback.script[0] = reply(b"", status=status, headers={"Location": f"{target.url}/steal"})
            assert (await ask(loopback)).status == status
            assert target.requests == []

    anyio.run(main)


def test_cookies_are_not_kept() -> None:
    """A login is no session: what one reply sets is not sent with the next request."""

    async def main() -> None:
        async with serving(reply(b"{}", headers={"Set-Cookie": "session=obviously-fake; Path=/"})) as loopback:
            upstream = Upstream(Reachable(), clock=StandingClock(NOW))
            for _ in range(2):
                await upstream.exchange(UpstreamRequest("GET", f"{loopback.url}/"))
            assert [request.headers.get("cookie") for request in loopback.requests] == [None, None]

    anyio.run(main)


def test_headers_that_stand_more_than_once_are_named() -> None:
    """Whatever the case of their letters."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Id: a\r\nx-ID: b\r\nX-Other: c, d\r\n\r\n{}"

    async def main() -> None:
        async with serving(raw(answer)) as loopback:
            reply = await Upstream(Reachable(), clock=StandingClock(NOW)).exchange(UpstreamRequest("GET", loopback.url))
            assert reply.repeated == {"x-id"}
            assert (reply.headers["x-id"], reply.headers["x-other"]) == ("a, b", "c, d")

    anyio.run(main)


def test_no_connection_outlives_its_exchange() -> None:
    """Tokens are asked for hours apart: an idle connection would be a descriptor, and stale when it is needed."""

    async def main() -> None:
        async with serving(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")) as loopback:
            upstream = Upstream(Reachable(), clock=StandingClock(NOW))
            await upstream.exchange(UpstreamRequest("GET", f"{loopback.url}/"))
            async with asyncio.timeout(10):
                await loopback.closed.wait()
            assert loopback.requests[0].headers["connection"] == "close"

    anyio.run(main)


@pytest.mark.parametrize("value", ["two\nlines", "ümlaut", b"\xff\xfe", "trailing ", ""])
def test_a_secret_that_no_header_can_carry_causes_no_request(value: str | bytes) -> None:
    """A line end in a pasted key would be a header of its own; libraries quote the value in their exceptions."""

    async def main() -> None:
        async with serving(silent) as loopback:
            upstream = Upstream(Reachable(), clock=StandingClock(NOW))
            with pytest.raises(SecretError) as caught:
                await upstream.exchange(UpstreamRequest("GET", loopback.url, {"x-api-key": Secret(value)}))
            assert "x-api-key" in str(caught.value)
            assert not value or str(value) not in str(caught.value)
            assert loopback.requests == []

    anyio.run(main)


def dated(offset: float) -> Behaviour:
    """A reply from a clock that is off."""
    date = StandingClock(NOW + offset).instant().wall
    return reply(b"{}", headers={"Date": format_datetime(date, usegmt=True)})


@pytest.mark.parametrize("offset", [-7200, -60, 60, 7200])
def test_a_skewed_clock_is_measured(offset: int) -> None:
    """docs/promises.md 26: the offset is the upstream's clock minus ours, to about a second."""
    measured = answered(dated(offset), clock=StandingClock(NOW))[0]
    assert measured.offset == pytest.approx(offset, abs=1)
    assert measured.date == StandingClock(NOW + offset).instant().wall
    assert measured.sent_at == StandingClock(NOW).instant()


@pytest.mark.parametrize("offset", [-4, 0, 4])
def test_a_few_seconds_are_no_skew(offset: int) -> None:
    """`Date` has whole seconds and travels: less than about five is not a wrong clock."""
    assert answered(dated(offset), clock=StandingClock(NOW))[0].offset == 0


def test_a_slow_reply_is_no_skew() -> None:
    """A reply may be dated anywhere between the sending and its arrival: that alone says nothing of the clock."""

    class Slow(StandingClock):
        calls = 0

        def instant(self) -> Any:
            self.calls += 1
            return super().instant().after(28 if self.calls > 1 else 0)

    assert answered(dated(27), clock=Slow(NOW))[0].offset == 0
    assert answered(dated(100), clock=Slow(NOW))[0].offset == pytest.approx(86, abs=1)


@pytest.mark.parametrize("date", ["", "yesterday", "Wed, 99 Foo 2026 00:00:00 GMT", "-1"])
def test_a_nonsensical_date_is_no_date(date: str) -> None:
    """What cannot be read teaches nothing."""
    answer = answered(reply(b"{}", headers={"Date": date}))[0]
    assert (answer.date, answer.offset) == (None, 0)


def test_a_timeout_before_the_connection_has_sent_nothing() -> None:
    """A listener whose queue is full answers no connection: a login's refresh token is unspent then."""

    async def main() -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            url = f"http://127.0.0.1:{full.getsockname()[1]}"
            waiting = [socket.socket() for _ in range(4)]
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            upstream = Upstream(Reachable(base_url=url, timeout=timedelta(milliseconds=300)), clock=StandingClock(0))
            with pytest.raises(TransientError, match="did not answer completely") as refused:
                await upstream.exchange(UpstreamRequest("POST", url))
            assert not refused.value.is_sent
            for one in waiting:
                one.close()
        async with serving(silent) as loopback:
            upstream = Upstream(
                Reachable(base_url=loopback.url, timeout=timedelta(milliseconds=500)), clock=StandingClock(0)
            )
            with pytest.raises(TransientError) as lost:
                await upstream.exchange(UpstreamRequest("POST", loopback.url))
            assert lost.value.is_sent or not loopback.requests

    anyio.run(main)
