"""Admission to the loopback port: Host and secret."""

import http.client
import json
import select
import socket
from contextlib import ExitStack

import pytest

from tests.api.fake_engine import RAW
from tests.httpd.loopback_port import BEARER, SECRET, Port
from tests.httpd.served import PATIENCE_SECONDS, eventually, logged
from tokend.httpd.loopback_guard import LONGEST_DELAY_SECONDS, WrongSecrets
from tokend.plugin.settings import Access

WRONG = "obviously-fake-guess"


@pytest.mark.parametrize("target", ["/v1/tokens/demo", "/v1/tokens/nobody", "/v1/tokens", "/v1/status", "/v1/events",
                                    "/metrics", "/openapi.json", "/nowhere", "/livez/", "/v1/../livez"])  # fmt: skip
def test_nothing_but_health_is_shown_without_the_secret(port: Port, target: str) -> None:
    """401 as a problem document, with the scheme that is wanted; the answer does not say whether a token exists."""
    reply = port.ask("GET", target)
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.headers["content-type"] == "application/problem+json"
    assert json.loads(reply.body)["code"] == "denied"


def test_health_is_shown_to_every_client(port: Port) -> None:
    """Supervisors have no secret, and the answer says nothing of tokens."""
    assert json.loads(port.ask("GET", "/livez").body) == {"live": True}
    assert port.ask("GET", "/readyz").status == 200


def test_the_reasons_of_readyz_are_shown_with_the_secret_only(port: Port) -> None:
    """They name tokens: without access alone, as everywhere on the port. A wrong secret is as good as none."""
    engine = port.beside.engine
    engine.ready = False
    engine.hold("demo").changes.update(valid=False)
    engine.hold("hidden", access=Access(users=("root",))).changes.update(valid=False)

    def names(headers: dict[str, str]) -> tuple[int, list[str]]:
        reply = port.ask("GET", "/readyz", headers)
        return reply.status, [reason["token"] for reason in json.loads(reply.body)["reasons"]]

    assert names({}) == (503, [])
    assert names({"Authorization": f"Bearer {WRONG}"}) == (503, [])
    assert names(BEARER) == (503, ["demo"])
    assert names({"Authorization": SECRET}) == (503, ["demo"])


def test_a_bearer_token_opens_and_so_does_the_bare_secret(port: Port) -> None:
    """AWS's SDKs send the content of their file as it is; everybody else says Bearer, in any case."""
    for authorization in (f"Bearer {SECRET}", SECRET, f"bearer {SECRET}", f"BEARER  {SECRET}"):
        reply = port.ask("GET", "/v1/tokens/demo", {"Authorization": authorization})
        assert reply.status == 200, authorization
        assert json.loads(reply.body)["access_token"] == RAW
    reply = port.ask("GET", "/v1/tokens/demo", {**BEARER, "Accept": "text/plain"})
    assert (reply.status, reply.body) == (200, RAW.encode())


@pytest.mark.parametrize("authorization", [WRONG, f"Bearer {WRONG}", "Bearer", "Bearer ", SECRET[:-1], SECRET + "x",
    f"Basic {SECRET}", f"Bearer Bearer {SECRET}", f"{SECRET}, {SECRET}", "\xe9\xff", SECRET.upper()])  # fmt: skip
def test_anything_else_does_not(port: Port, authorization: str) -> None:
    """And what was sent is neither echoed nor logged."""
    with logged() as lines:
        reply = port.ask("GET", "/v1/tokens/demo", {"Authorization": authorization})
        assert eventually(lambda: any(line["event"] == "client.denied" for line in lines))
    assert reply.status == 401
    for text in (repr(lines), reply.body.decode()):
        assert WRONG not in text
        assert SECRET[:-1] not in text
        assert RAW not in text


def test_two_authorization_headers_are_none(port: Port) -> None:
    """A right one behind a wrong one must not pass where somebody else looked at the first."""
    host = f"Host: localhost:{port.server.port}\r\n"
    both = f"Authorization: {WRONG}\r\nAuthorization: Bearer {SECRET}\r\n"
    assert b" 401 " in port.raw(f"GET /v1/tokens/demo HTTP/1.1\r\n{host}{both}\r\n")


def test_a_flood_of_guesses_writes_few_lines(port: Port) -> None:
    """One line a second at most; the clock of these tests stands still."""
    with logged() as lines:
        for _ in range(20):
            port.ask("GET", "/v1/tokens", {"Authorization": WRONG})
    assert sum(line["event"] == "client.denied" for line in lines) == 1


def test_a_new_secret_counts_at_once_also_on_an_open_connection(port: Port) -> None:
    """The very text that was answered a moment ago is refused; nothing of it was remembered."""
    connection = http.client.HTTPConnection("127.0.0.1", port.server.port, timeout=PATIENCE_SECONDS)

    def status(secret: str) -> int:
        connection.request("GET", "/v1/tokens/demo", headers={"Authorization": f"Bearer {secret}"})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    assert [status(SECRET) for _ in range(3)] == [200, 200, 200]
    assert port.beside.service.answers.texts == frozenset()
    port.secret.write_text("another-fake-secret")
    assert status(SECRET) == 401
    assert status("another-fake-secret") == 200
    connection.close()


def test_without_a_readable_secret_nobody_gets_in(port: Port) -> None:
    """Closed, not open; the log says once where it is missing, the answer does not."""
    port.secret.unlink()
    with logged() as lines:
        replies = [port.ask("GET", "/v1/tokens/demo", BEARER) for _ in range(3)]
    assert {reply.status for reply in replies} == {401}
    assert str(port.secret) not in replies[0].body.decode()
    [line] = [line for line in lines if line["event"] == "loopback.no_secret"]
    assert str(port.secret) in line["detail"]
    port.secret.write_text("")
    assert port.ask("GET", "/v1/tokens/demo", {"Authorization": "Bearer "}).status == 401
    port.secret.write_text(SECRET)
    assert port.ask("GET", "/v1/tokens/demo", BEARER).status == 200


def test_a_file_that_holds_the_whole_header_is_taken_as_it_is(port: Port) -> None:
    """Some write `Bearer …` into the file whose content is sent raw."""
    port.secret.write_text("Bearer obviously-fake")
    assert port.ask("GET", "/v1/tokens/demo", {"Authorization": "Bearer obviously-fake"}).status == 200
    assert port.ask("GET", "/v1/tokens/demo", {"Authorization": "obviously-fake"}).status == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "localhost", "localhost:1", "127.0.0.1",
    "localhost.evil.example:{port}", "10.0.0.1:{port}", "127.0.0.1.evil.example:{port}", "127.evil:{port}",
    "127.999.0.1:{port}", "[::2]:{port}", "0.0.0.0:{port}", "x@localhost:{port}", "localhost:{port}, x"])  # fmt: skip
@pytest.mark.parametrize("target", ["/v1/tokens/demo", "/livez"])
def test_a_foreign_host_is_refused_even_with_the_secret(port: Port, host: str, target: str) -> None:
    """A page whose name was rebound to this machine names itself there."""
    reply = port.ask("GET", target, BEARER, host=host.format(port=port.server.port))
    assert (reply.status, json.loads(reply.body)["code"]) == (403, "denied")


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_this_machine_by_any_name_is_taken(port: Port, host: str) -> None:
    """With our port."""
    assert port.ask("GET", "/v1/tokens/demo", BEARER, host=f"{host}:{port.server.port}").status == 200


def test_no_host_two_hosts_and_one_in_the_target_are_refused(port: Port) -> None:
    """Only one clear name counts."""
    ours, end = f"Host: localhost:{port.server.port}\r\n", f"Authorization: {SECRET}\r\n\r\n"
    assert b" 403 " in port.raw(f"GET /v1/tokens/demo HTTP/1.0\r\n{end}")
    assert b" 403 " in port.raw(f"GET /v1/tokens/demo HTTP/1.1\r\n{ours}{ours}{end}")
    assert b" 403 " in port.raw(f"GET http://evil.example/v1/tokens/demo HTTP/1.1\r\n{ours}{end}")
    assert b" 200 " in port.raw(f"GET /v1/tokens/demo HTTP/1.1\r\n{ours}{end}")


def test_an_invented_verb_is_no_way_past_the_secret(port: Port) -> None:
    """Only clients with the secret learn the methods of a path."""
    assert port.ask("BREW", "/v1/tokens/demo").status == 401
    assert port.ask("BREW", "/v1/tokens/demo", BEARER, host="evil.example").status == 403
    reply = port.ask("BREW", "/v1/tokens/demo", BEARER)
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")


def test_ten_wrong_secrets_a_second_are_answered_at_once_and_the_others_wait_their_turn() -> None:
    """However long a flood lasts, the wait of the next wrong secret has a bound."""
    pace = WrongSecrets()
    assert [pace.delay(1000.0) for _ in range(13)] == pytest.approx([0.0] * 10 + [0.1, 0.2, 0.3])
    assert pace.delay(1001.0) == 0
    assert max(pace.delay(1001.0) for _ in range(1000)) == LONGEST_DELAY_SECONDS
    assert pace.delay(1001.0 + LONGEST_DELAY_SECONDS + 1) == 0


def test_a_right_secret_does_not_wait_behind_wrong_ones(port: Port) -> None:
    """Guesses of all clients together are delayed; a client that knows the secret is answered meanwhile."""
    guess = f"GET /v1/tokens/demo HTTP/1.1\r\nHost: 127.0.0.1:{port.server.port}\r\nAuthorization: {WRONG}\r\n\r\n"
    with ExitStack() as stack:
        guessers = [stack.enter_context(socket.create_connection(("127.0.0.1", port.server.port))) for _ in range(40)]
        for one in guessers:
            one.sendall(guess.encode())
        assert eventually(lambda: bool(select.select(guessers, [], [], 0)[0]))
        assert port.ask("GET", "/v1/tokens/demo", BEARER).status == 200
        answered, _, _ = select.select(guessers, [], [], 0)
        assert 1 <= len(answered) < 40
        assert guessers[0].recv(12) == b"HTTP/1.1 401"
