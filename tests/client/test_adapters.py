"""All adapters: one suite that each of them passes, against real HTTP servers and a tokend that is scripted."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.client.adapters import ADAPTERS, Adapter, Call, Got
from tests.client.upstream import Heard, Said, upstream
from tokend.client import NotRunningError, OriginError, UnavailableError
from tokend.client.testing import FakeTokend

KEY = {"tt": {"x-api-key": "fake-key"}}


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.__name__)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """Each adapter in turn."""
    found: Adapter = request.param
    return found


@pytest.fixture
def fake() -> Iterator[FakeTokend]:
    """A tokend with two tokens to give."""
    with FakeTokend({"tt": ["first", "second"]}, headers=KEY, environ=False) as started:
        yield started


def only(*tokens: str) -> Callable[[Heard], Said]:
    """A server that takes these tokens and answers with the request's body."""

    def answer(heard: Heard) -> Said:
        good = heard.token in [f"Bearer {token}" for token in tokens]
        return Said(200 if good else 401, heard.body or b"well")

    return answer


def redirecting(*hops: str, status: int = 302, wants: str | None = None) -> Callable[[Heard], Said]:
    """A server that leads from /0 to the first hop, from /1 to the second …, and wants a token at each."""

    def answer(heard: Heard) -> Said:
        if wants is not None and heard.token != wants:
            return Said(401)
        place = int(heard.path[1:]) if heard.path[1:].isdigit() else len(hops)
        return Said(status, b"", hops[place]) if place < len(hops) else Said(200, heard.body or b"well")

    return answer


def test_all_headers_of_the_token_are_sent(adapter: Adapter, fake: FakeTokend) -> None:
    """`headers` of the lease, ready to send, besides those of the caller; one read, no report."""
    with upstream(only("first")) as server:
        assert adapter(fake.socket, [Call(server.origin + "/", headers={"X-Own": "1"})]) == [Got(200, b"well")]
    headers = server.heard[0].headers
    assert (headers["authorization"], headers["x-api-key"], headers["x-own"]) == ("Bearer first", "fake-key", "1")
    assert (fake.requests, fake.reports) == (["GET /v1/tokens/tt"], [])


def test_a_refused_token_is_reported_and_the_request_made_once_more(adapter: Adapter, fake: FakeTokend) -> None:
    """401 → refresh with the generation that was refused → the newer token, the same body."""
    with upstream(only("second")) as server:
        call = Call(server.origin + "/", "POST", b"order")
        assert adapter(fake.socket, [call]) == [Got(200, b"order")]
    assert server.tokens() == [("/", "Bearer first"), ("/", "Bearer second")]
    assert [request.body for request in server.heard] == [b"order"] * 2
    assert fake.reports == [("tt", 1, "unauthorized")]


def test_a_second_401_is_the_answer(adapter: Adapter) -> None:
    """Once, however many tokens there would be."""
    with FakeTokend({"tt": ["a", "b", "c"]}, environ=False) as fake, upstream(only("c")) as server:
        assert adapter(fake.socket, [Call(server.origin + "/")])[0].status == 401
    assert (len(server.heard), len(fake.reports)) == (2, 1)


def test_without_a_newer_generation_there_is_no_second_request(adapter: Adapter) -> None:
    """The refresh found the same token: the server means it."""
    with FakeTokend({"tt": "only"}, environ=False) as fake, upstream(only("other")) as server:
        assert adapter(fake.socket, [Call(server.origin + "/")])[0].status == 401
    assert (len(server.heard), len(fake.reports)) == (1, 1)


def test_a_401_stays_a_401_where_tokend_cannot_help(
    adapter: Adapter, fake: FakeTokend, caplog: pytest.LogCaptureFixture
) -> None:
    """A refused refresh raises nothing into the program; the log says what tokend said."""

    def answer(heard: Heard) -> Said:
        fake.reject("tt", "InvalidCredentials")
        return Said(401, b"no")

    with upstream(answer) as server:
        assert adapter(fake.socket, [Call(server.origin + "/")]) == [Got(401, b"no")]
    assert len(server.heard) == 1
    assert "there is no newer token: InvalidCredentials" in caplog.text
    assert "first" not in caplog.text


def test_other_refusals_are_not_the_tokens_fault(adapter: Adapter, fake: FakeTokend) -> None:
    """403 and 500 are answers as any."""
    for status in (403, 407, 500):
        said = Said(status)
        with upstream(partial(_say, said)) as server:
            assert adapter(fake.socket, [Call(server.origin + "/")])[0].status == status
        assert len(server.heard) == 1
    assert fake.reports == []


def test_a_generator_body_is_never_replayed(adapter: Adapter, fake: FakeTokend) -> None:
    """Its pieces are gone: the 401 is reported, so that the next request is better off, and is the answer."""
    with upstream(only("second")) as server:
        url = server.origin + "/"
        assert adapter(fake.socket, [Call(url, "POST", pieces=(b"a", b"b"))])[0].status == 401
        assert [(request.method, request.body) for request in server.heard] == [("POST", b"ab")]
        assert fake.reports == [("tt", 1, "unauthorized")]
        assert adapter(fake.socket, [Call(url, "POST", pieces=(b"a", b"b"))]) == [Got(200, b"ab")]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_elsewhere_carries_neither_token_nor_key(adapter: Adapter, fake: FakeTokend, status: int) -> None:
    """Another port is another origin: no header of the lease, no report of its 401, no retry there."""
    with (
        upstream(lambda heard: Said(401, b"elsewhere")) as other,
        upstream(redirecting(f"{other.origin}/x", status=status)) as server,
    ):
        assert adapter(fake.socket, [Call(server.origin + "/0")]) == [Got(401, b"elsewhere")]
    assert server.tokens() == [("/0", "Bearer first")]
    assert other.tokens() == [("/x", None)]
    assert "x-api-key" not in other.heard[0].headers
    assert fake.reports == []


@pytest.mark.parametrize("scheme", ["http:", ""])
def test_another_name_of_the_same_host_is_another_origin(adapter: Adapter, fake: FakeTokend, scheme: str) -> None:
    """localhost is not 127.0.0.1, whatever it resolves to; //host/path is no path."""

    def answer(heard: Heard) -> Said:
        port = heard.headers["host"].rpartition(":")[2]
        return Said(302, b"", f"{scheme}//localhost:{port}/end") if heard.path == "/0" else Said()

    with upstream(answer) as server:
        assert adapter(fake.socket, [Call(server.origin + "/0")]) == [Got(200, b"well")]
    assert server.tokens() == [("/0", "Bearer first"), ("/end", None)]
    assert "x-api-key" not in server.heard[1].headers


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_within_the_origin_ends_with_the_token(adapter: Adapter, fake: FakeTokend, status: int) -> None:
    """Relative and absolute targets; a server that wants the token at each hop is content."""

    def answer(heard: Heard) -> Said:
        absolute = f"http://{heard.headers['host']}/2"
        return redirecting("/1", absolute, status=status, wants="Bearer first")(heard)

    with upstream(answer) as server:
        assert adapter(fake.socket, [Call(server.origin + "/0")]) == [Got(200, b"well")]
        assert server.heard[-1].headers["x-api-key"] == "fake-key"
        body = Call(server.origin + "/0", "POST", b"order")
        assert adapter(fake.socket, [body])[0].body == (b"order" if status == 307 else b"well")
    assert fake.reports == []


def test_a_retry_that_is_redirected_elsewhere_carries_nothing_either(adapter: Adapter, fake: FakeTokend) -> None:
    """The newer token stays at home as the older one did."""
    with upstream(lambda heard: Said()) as other:

        def answer(heard: Heard) -> Said:
            return Said(302, b"", f"{other.origin}/x") if heard.token == "Bearer second" else Said(401)

        with upstream(answer) as server:
            assert adapter(fake.socket, [Call(server.origin + "/")]) == [Got(200, b"well")]
    assert other.tokens() == [("/x", None)]
    assert "x-api-key" not in other.heard[0].headers
    assert len(server.heard) == 2


def test_a_refused_token_after_a_redirect_within_the_origin_is_reported(adapter: Adapter, fake: FakeTokend) -> None:
    """The 401 of the last hop counts, and the newer token goes to it."""

    def answer(heard: Heard) -> Said:
        if heard.path == "/0":
            return Said(307, b"", "/end")
        return Said(200) if heard.token == "Bearer second" else Said(401)

    with upstream(answer) as server:
        call = Call(server.origin + "/0", "POST", b"order")
        assert adapter(fake.socket, [call]) == [Got(200, b"well")]
    assert server.heard[-1].body == b"order"
    assert fake.reports == [("tt", 1, "unauthorized")]


def test_no_token_is_an_error_before_anything_is_sent(adapter: Adapter, fake: FakeTokend) -> None:
    """tokend's refusal, or its absence, is raised as it is."""
    fake.reject("tt")
    with upstream(only()) as server:
        for socket, error in ((fake.socket, UnavailableError), ("/nonexistent", NotRunningError)):
            with pytest.raises((error, ExceptionGroup)) as caught:
                adapter(socket, [Call(server.origin + "/")])
            found = caught.value.exceptions[0] if isinstance(caught.value, ExceptionGroup) else caught.value
            assert isinstance(found, error)
    assert server.heard == []


def test_a_hundred_refusals_at_once_use_one_newer_token(adapter: Adapter) -> None:
    """Each is reported under its generation, so that all get the second token and none the third."""
    with FakeTokend({"tt": ["a", "b", "c"]}, environ=False) as fake, upstream(only("b")) as server:
        found = adapter(fake.socket, [Call(f"{server.origin}/{number}") for number in range(100)])
    assert found == [Got(200, b"well")] * 100
    assert {generation for _, generation, _ in fake.reports} == {1}


def test_a_request_elsewhere_is_an_error_before_anything_is_sent(adapter: Adapter, fake: FakeTokend) -> None:
    """The first origin counts. Another scheme, name or port of the host is refused, and `origins=` is named."""
    with upstream(only("first")) as server, upstream(only("first")) as other:
        name = other.origin.replace("127.0.0.1", "localhost")
        for elsewhere in (other.origin, name, "https://127.0.0.1:9"):
            with pytest.raises(OriginError, match=r"tt is not sent to .*origins=") as caught:
                adapter(fake.socket, [Call(server.origin + "/"), Call(elsewhere + "/")], in_turn=True)
            assert server.origin in str(caught.value)
            assert caught.value.exit_code == 2
    assert (len(server.heard), other.heard) == (3, [])


def test_listed_origins_get_the_token_and_others_none(adapter: Adapter, fake: FakeTokend) -> None:
    """A list, or one text; the first request does not widen it."""
    with upstream(only("first")) as server, upstream(only("first")) as other:
        both = [Call(server.origin + "/a"), Call(other.origin + "/b")]
        listed = (server.origin, other.origin + "/")
        assert adapter(fake.socket, both, origins=listed) == [Got(200, b"well")] * 2
        with pytest.raises((OriginError, ExceptionGroup)):
            adapter(fake.socket, [both[1]], origins=server.origin)
    assert (len(server.heard), len(other.heard)) == (1, 1)


@pytest.mark.parametrize("listed", [(), ("http://api.example",)])
def test_plain_http_gets_a_token_on_loopback_only(adapter: Adapter, fake: FakeTokend, listed: tuple[str, ...]) -> None:
    """Also where that origin is listed: the network would see the token. Nothing is asked of tokend either."""
    options: dict[str, Any] = {"origins": listed} if listed else {}
    with pytest.raises((OriginError, ExceptionGroup)) as caught:
        adapter(fake.socket, [Call("http://api.example/")], **options)
    error = caught.value.exceptions[0] if isinstance(caught.value, ExceptionGroup) else caught.value
    assert isinstance(error, OriginError)
    assert "tt is not sent to http://api.example: http would show it" in str(error)
    assert "origins=" in str(error)
    assert fake.requests == []


def test_a_listed_text_that_is_no_origin_is_an_error_at_once(adapter: Adapter, fake: FakeTokend) -> None:
    """Not at the first request."""
    for text in ("api.example", "", "/path", "ftp://api.example", "https://"):
        with pytest.raises(ValueError, match="is no origin: write https://HOST"):
            adapter(fake.socket, [], origins=(text,))


IDS = {"tt": "requestId"}


def ids_of(heard: Heard) -> list[str]:
    """The request ids in a request's query."""
    return parse_qs(urlsplit(heard.path).query).get("requestId", [])


def test_each_request_gets_a_request_id_of_its_own(adapter: Adapter) -> None:
    """In the query, which otherwise stays as it is, byte by byte; also in the repetition after a 401."""
    with (
        FakeTokend({"tt": ["first", "second"]}, request_ids=IDS, environ=False) as fake,
        upstream(only("second")) as server,
    ):
        calls = [Call(f"{server.origin}/{query}") for query in ("", "?a=1+b&&c", "?a=1")]
        assert adapter(fake.socket, calls, in_turn=True) == [Got(200, b"well")] * 3
    ids = [ids_of(heard) for heard in server.heard]
    assert len(server.heard) == 4
    assert all(len(found) == 1 and found[0].startswith("FakeApp-FakeCompany--") for found in ids)
    assert len({found[0] for found in ids}) == 4
    assert [heard.path.rpartition("requestId=")[0] for heard in server.heard] == ["/?", "/?", "/?a=1+b&&c&", "/?a=1&"]


def test_a_request_id_of_the_caller_stays_but_is_not_used_twice(adapter: Adapter) -> None:
    """His own in the first request, a new one in the repetition."""
    with (
        FakeTokend({"tt": ["first", "second"]}, request_ids=IDS, environ=False) as fake,
        upstream(only("second")) as server,
    ):
        assert adapter(fake.socket, [Call(server.origin + "/?requestId=own&a=1")])[0].status == 200
    first, second = (ids_of(heard) for heard in server.heard)
    assert first == ["own"]
    assert len(second) == 1
    assert second[0].startswith("FakeApp-")
    assert "a=1" in server.heard[1].path


def test_a_redirect_within_the_origin_has_a_new_request_id(adapter: Adapter) -> None:
    """Whatever the target says: the id of the first request is used up. Elsewhere no id is added."""
    with upstream(lambda heard: Said()) as other:

        def answer(heard: Heard) -> Said:
            if heard.path.startswith("/0"):
                return Said(307, b"", f"/1?{heard.path.partition('?')[2]}")
            if heard.path.startswith("/1"):
                return Said(307, b"", "/2?a=b")
            return Said(307, b"", f"{other.origin}/x") if heard.path.startswith("/2") else Said()

        with (
            FakeTokend({"tt": "first"}, request_ids=IDS, environ=False) as fake,
            upstream(answer) as server,
            upstream(lambda heard: Said(307, b"", "/1") if heard.path.startswith("/0") else Said()) as short,
        ):
            assert adapter(fake.socket, [Call(server.origin + "/0")])[0].status == 200
            assert adapter(fake.socket, [Call(short.origin + "/0")])[0].status == 200
    with_token = [heard for heard in (*server.heard, *short.heard) if heard.token]
    ids = [found for heard in with_token for found in ids_of(heard)]
    assert len(ids) == len(with_token) == len(set(ids))
    assert ids_of(short.heard[-1])
    assert other.heard
    assert all(heard.token is None and not ids_of(heard) for heard in other.heard)


def _say(said: Said, heard: Heard) -> Said:
    return said
