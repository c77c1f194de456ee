"""The runtime without an upstream: answers in turn, one moment, the limits of a real exchange."""

from datetime import UTC, datetime

import anyio
import pytest

from tokend.cli.try_offline.offline_runtime import NoMoreRepliesError, OfflineRuntime
from tokend.cli.try_offline.replies import GivenReply, given_reply
from tokend.cli.try_offline.stand_ins import StandIns
from tokend.machine.event import Event
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.secret_source import SecretSource
from tokend.providers.oauth2.kind import OAuth2
from tokend.providers.projectx import ProjectX
from tokend.values.errors import TransientError

SETTINGS = ProjectX(username=SecretSource(env="A"), api_key=SecretSource(env="B"))
REQUEST = UpstreamRequest("POST", "https://api.example/token")


def runtime(*replies: GivenReply) -> OfflineRuntime:
    """Return the runtime for a login at ProjectX."""
    return OfflineRuntime(SETTINGS, replies, StandIns(SETTINGS))


def exchange(given: OfflineRuntime, request: UpstreamRequest = REQUEST) -> UpstreamReply:
    """Make one exchange."""
    return anyio.run(given.exchange, request)


def test_answers_come_in_turn_and_the_request_after_the_last_is_noted() -> None:
    """The request that has no answer is what a person has to know."""
    given = runtime(given_reply(b"1"), given_reply(b"2", status=500))
    assert [(r.status, r.body) for r in (exchange(given), exchange(given))] == [(200, b"1"), (500, b"2")]
    with pytest.raises(NoMoreRepliesError):
        exchange(given)
    assert [one.reply is None for one in given.exchanges] == [False, False, True]
    assert given.requests == 3


def test_cookies_reach_the_kind_one_by_one() -> None:
    """A kind may take its token from one."""
    given = runtime(given_reply(b"{}", headers=["Set-Cookie: session=fake-session; Path=/", "Set-Cookie: b=2"]))
    reply = exchange(given)
    assert reply.cookies == ("session=fake-session; Path=/", "b=2")
    assert reply.repeated == {"set-cookie"}


def test_the_moment_is_that_of_the_first_date() -> None:
    """An answer that was kept yesterday is judged as of yesterday; one without a date, as of now."""
    then = datetime(2026, 3, 1, 12, tzinfo=UTC)
    dated = given_reply(b"HTTP/1.1 200 OK\nDate: Sun, 01 Mar 2026 12:00:00 GMT\n\n{}")
    given = runtime(given_reply(b"{}"), dated)
    assert given.clock.instant().wall == given.upstream_now() == then
    exchange(given)
    reply = exchange(given)
    assert (reply.sent_at.wall, reply.date, reply.offset) == (then, then, 0.0)
    now = runtime(given_reply(b"HTTP/1.1 200 OK\nDate: soon\n\n{}")).clock.instant().wall
    assert abs((datetime.now(UTC) - now).total_seconds()) < 60


@pytest.mark.parametrize(
    "given", [given_reply(bytes(256 * 1024 + 1)), given_reply(b"", headers=["Content-Encoding: br"])]
)
def test_what_a_real_exchange_refuses_is_refused(given: GivenReply) -> None:
    """Too large a body, and a content encoding."""
    with pytest.raises(TransientError):
        exchange(runtime(given))


def test_the_metadata_of_a_server_stand_in_unless_answers_are_given_for_them() -> None:
    """One answer is that of the token request; two are for both requests."""
    settings = OAuth2.model_validate(
        {"kind": "oauth2", "grant": "client_credentials", "resource": "https://mcp.example/x", "client_id": "a",
         "client_auth": "none"}
    )  # fmt: skip
    one = OfflineRuntime(settings, [given_reply(b"{}")], StandIns(settings))
    ask = UpstreamRequest("GET", "https://mcp.example/.well-known/oauth-protected-resource/x")
    assert b'"authorization_servers": ["https://mcp.example"]' in exchange(one, ask).body
    assert one.exchanges[0].is_known is False
    two = OfflineRuntime(settings, [given_reply(b"metadata"), given_reply(b"{}")], StandIns(settings))
    assert exchange(two, ask).body == b"metadata"
    assert two.exchanges[0].is_known is True


@pytest.mark.anyio
async def test_the_rest_of_the_interface_does_nothing_outside() -> None:
    """No wait, no program; documents are kept for the attempt."""
    given = runtime()
    await given.clock.sleep(1e9)
    await given.clock.wait(None, Event())
    assert await given.run_in_thread(lambda: 5, seconds=1) == 5
    with pytest.raises(TimeoutError):
        await given.run_command(["/bin/false"], {}, seconds=1, output_limit=1)
    async with given.connected():
        assert given.recall("a") is None
    await given.remember("a", {"b": 1})
    kept = given.recall("a")
    assert kept is not None
    assert kept.document == {"b": 1}
