"""All adapters: one suite that each of them passes, against real HTTP servers and a tokend that is scripted."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.client.adapters import ADAPTERS, Adapter, Call, Got
from tests.client.upstream import Heard, Said, upstream
from tokend.client import NotRunningError, UnavailableError
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
        assert adapter(fake.socket, server.origin, [Call(server.origin + "/", headers={"X-Own": "1"})]) == [
            Got(200, b"well")
        ]
    headers = server.heard[0].headers
    assert (headers["authorization"], headers["x-api-key"], headers["x-own"]) == ("Bearer first", "fake-key", "1")
    assert (fake.requests, fake.reports) == (["GET /v1/tokens/tt"], [])


def test_a_refused_token_is_reported_and_the_request_made_once_more(adapter: Adapter, fake: FakeTokend) -> None:
    """401 → refresh with the generation that was refused → the newer token, the same body."""
    with upstream(only("second")) as server:
        call = Call(server.origin + "/", "POST", b"order")
        assert adapter(fake.socket, server.origin, [call]) == [Got(200, b"order")]
    assert server.tokens() == [("/", "Bearer first"), ("/", "Bearer second")]
    assert [request.body for request in server.heard] == [b"order"] * 2
    assert fake.reports == [("tt", 1, "unauthorized")]


def test_a_second_401_is_the_answer(adapter: Adapter) -> None:
    """Once, however many tokens there would be."""
    with FakeTokend({"tt": ["a", "b", "c"]}, environ=False) as fake, upstream(only("c")) as server:
        assert adapter(fake.socket, server.origin, [Call(server.origin + "/")])[0].status == 401
    assert (len(server.heard), len(fake.reports)) == (2, 1)


def test_without_a_newer_generation_there_is_no_second_request(adapter: Adapter) -> None:
    """The refresh found the same token: the server means it."""
    with FakeTokend({"tt": "only"}, environ=False) as fake, upstream(only("other")) as server:
        assert adapter(fake.socket, server.origin, [Call(server.origin + "/")])[0].status == 401
    assert (len(server.heard), len(fake.reports)) == (1, 1)


def test_a_401_stays_a_401_where_tokend_cannot_help(
    adapter: Adapter, fake: FakeTokend, caplog: pytest.LogCaptureFixture
) -> None:
    """A refused refresh raises nothing into the program; the log says what tokend said."""

    def answer(heard: Heard) -> Said:
        fake.reject("tt", "InvalidCredentials")
        return Said(401, b"no")

    with upstream(answer) as server:
        assert adapter(fake.socket, server.origin, [Call(server.origin + "/")]) == [Got(401, b"no")]
    assert len(server.heard) == 1
    assert "there is no newer token: InvalidCredentials" in caplog.text
    assert "first" not in caplog.text


def test_other_refusals_are_not_the_tokens_fault(adapter: Adapter, fake: FakeTokend) -> None:
    """403 and 500 are answers as any."""
    for status in (403, 407, 500):
        said = Said(status)
        with upstream(partial(_say, said)) as server:
            assert adapter(fake.socket, server.origin, [Call(server.origin + "/")])[0].status == status
        assert len(server.heard) == 1
    assert fake.reports == []


def test_a_generator_body_is_never_replayed(adapter: Adapter, fake: FakeTokend) -> None:
    """Its pieces are gone: the 401 is reported, so that the next request is better off, and is the answer."""
    with upstream(only("second")) as server:
        url = server.origin + "/"
        assert adapter(fake.socket, server.origin, [Call(url, "POST", pieces=(b"a", b"b"))])[0].status == 401
        assert [(request.method, request.body) for request in server.heard] == [("POST", b"ab")]
        assert fake.reports == [("tt", 1, "unauthorized")]
        assert adapter(fake.socket, server.origin, [Call(url, "POST", pieces=(b"a", b"b"))]) == [Got(200, b"ab")]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_elsewhere_carries_neither_token_nor_key(adapter: Adapter, fake: FakeTokend, status: int) -> None:
    """Another port is another origin: no header of the lease, no report of its 401, no retry there."""
    with (
        upstream(lambda heard: Said(401, b"elsewhere")) as other,
        upstream(redirecting(f"{other.origin}/x", status=status)) as server,
    ):
        assert adapter(fake.socket, server.origin, [Call(server.origin + "/0")]) == [Got(401, b"elsewhere")]
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
        assert adapter(fake.socket, server.origin, [Call(server.origin + "/0")]) == [Got(200, b"well")]
    assert server.tokens() == [("/0", "Bearer first"), ("/end", None)]
    assert "x-api-key" not in server.heard[1].headers


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_within_the_origin_ends_with_the_token(adapter: Adapter, fake: FakeTokend, status: int) -> None:
    """Relative and absolute targets; a server that wants the token at each hop is content."""

    def answer(heard: Heard) -> Said:
        absolute = f"http://{heard.headers['host']}/2"
        return redirecting("/1", absolute, status=status, wants="Bearer first")(heard)

    with upstream(answer) as server:
        assert adapter(fake.socket, server.origin, [Call(server.origin + "/0")]) == [Got(200, b"well")]
        assert server.heard[-1].headers["x-api-key"] == "fake-key"
        body = Call(server.origin + "/0", "POST", b"order")
        assert adapter(fake.socket, server.origin, [body])[0].body == (b"order" if status == 307 else b"well")
    assert fake.reports == []


def test_a_retry_that_is_redirected_elsewhere_carries_nothing_either(adapter: Adapter, fake: FakeTokend) -> None:
    """The newer token stays at home as the older one did."""
    with upstream(lambda heard: Said()) as other:

        def answer(heard: Heard) -> Said:
            return Said(302, b"", f"{other.origin}/x") if heard.token == "Bearer second" else Said(401)

        with upstream(answer) as server:
            assert adapter(fake.socket, server.origin, [Call(server.origin + "/")]) == [Got(200, b"well")]
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
        assert adapter(fake.socket, server.origin, [call]) == [Got(200, b"well")]
    assert server.heard[-1].body == b"order"
    assert fake.reports == [("tt", 1, "unauthorized")]


def test_no_token_is_an_error_before_anything_is_sent(adapter: Adapter, fake: FakeTokend) -> None:
    """tokend's refusal, or its absence, is raised as it is."""
    fake.reject("tt")
    with upstream(only()) as server:
        for socket, error in ((fake.socket, UnavailableError), ("/nonexistent", NotRunningError)):
            with pytest.raises((error, ExceptionGroup)) as caught:
                adapter(socket, server.origin, [Call(server.origin + "/")])
            found = caught.value.exceptions[0] if isinstance(caught.value, ExceptionGroup) else caught.value
            assert isinstance(found, error)
    assert server.heard == []


def test_a_hundred_refusals_at_once_use_one_newer_token(adapter: Adapter) -> None:
    """Each is reported under its generation, so that all get the second token and none the third."""
    with FakeTokend({"tt": ["a", "b", "c"]}, environ=False) as fake, upstream(only("b")) as server:
        found = adapter(fake.socket, server.origin, [Call(f"{server.origin}/{number}") for number in range(100)])
    assert found == [Got(200, b"well")] * 100
    assert {generation for _, generation, _ in fake.reports} == {1}


def _say(said: Said, heard: Heard) -> Said:
    return said
