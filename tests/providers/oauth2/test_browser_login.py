"""A login with a browser: what a person opens, which addresses finish it, and the exchange of the code."""

import base64
import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.providers.oauth2.asking import TOKEN, form, granted, said
from tests.providers.oauth2.discovering import discover, metadata
from tests.providers.oauth2.logins import NEW, PUBLIC
from tests.providers.oauth2.test_granting import jwt
from tests.upstream.loopback import Behaviour, reply, reset
from tokend.plugin.login import BrowserLogin
from tokend.values.errors import (
    LoginRefusedError,
    LostAnswerError,
    RateLimitedError,
    RejectedError,
    ServerSettingsError,
    TransientError,
    WrongStateError,
)
from tokend.values.logins import Granted

LISTENING = "http://127.0.0.1:34567/"
BY_ISSUER: dict[str, Any] = {"issuer": "URL", "token_url": None, "authorize_url": None}


def begin(proposed: str | None = LISTENING, *script: Behaviour, **keys: Any) -> Any:
    """Return what a person opens."""

    async def call(settings: Any, runtime: Any) -> Any:
        return await settings.begin_browser(runtime, proposed)

    return discover(keys.pop("document", None), *script, call=call, **{**PUBLIC, **keys})


def asked(begun: BrowserLogin) -> dict[str, str]:
    """Return the parameters of the URL, each once."""
    pairs = parse_qsl(urlsplit(begun.url).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


Ended = Callable[[BrowserLogin], str]


def ended(**changed: Any) -> Ended:
    """Return where the browser ends: with the state and a code, and what is changed."""

    def address(begun: BrowserLogin) -> str:
        whole = {"state": begun.state.reveal(), "code": "fake-code", **changed}
        query = urlencode({key: value for key, value in whole.items() if value is not None})
        return f"{begun.redirect_uri}?{query}"

    return address


def finish(*script: Behaviour, address: Ended | None = None, document: Any = None, **keys: Any) -> Any:
    """Begin a login and finish it; return the outcome, and the server's requests of the exchange."""

    async def call(settings: Any, runtime: Any) -> Any:
        begun = await settings.begin_browser(runtime, LISTENING)
        try:
            return begun, await settings.finish_browser(runtime, begun, (address or ended())(begun))
        except WrongStateError as error:
            return begun, error

    outcome, loopback = discover(document, *script, call=call, **{**PUBLIC, **keys})
    posts = [request for request in loopback.requests if request.method == "POST"]
    return outcome, posts


def test_a_person_opens_a_url_with_pkce_and_a_state() -> None:
    """256 bits of each; the verifier itself is not in it."""
    begun, loopback = begin(scope=["a", "openid"], resource="https://r.example/", audience="api",
                            login_parameters={"prompt": "consent", "state": "planted"})  # fmt: skip
    assert isinstance(begun, BrowserLogin), begun
    assert begun.url.startswith(f"{loopback.url}/authorize?")
    parameters = asked(begun)
    assert begun.verifier is not None
    assert begun.nonce is not None
    challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.reveal_bytes()).digest()).rstrip(b"=").decode()
    assert parameters == {
        "response_type": "code", "client_id": "fake-client", "redirect_uri": LISTENING, "scope": "a openid",
        "state": begun.state.reveal(), "code_challenge": challenge, "code_challenge_method": "S256",
        "nonce": begun.nonce.reveal(), "resource": "https://r.example/", "audience": "api", "prompt": "consent",
    }  # fmt: skip
    assert all(len(one.reveal()) >= 43 for one in (begun.state, begun.nonce, begun.verifier))
    assert begun.verifier.reveal() not in begun.url
    assert loopback.requests == []
    again, _ = begin()
    assert again.state != begun.state
    assert again.nonce is None


def test_a_server_that_breaks_with_pkce_gets_none() -> None:
    """pkce = false."""
    begun, _ = begin(pkce=False)
    assert begun.verifier is None
    assert "code_challenge" not in asked(begun)


@pytest.mark.parametrize(
    ("written", "proposed", "used"),
    [
        (None, LISTENING, LISTENING),
        (None, None, "http://127.0.0.1/"),
        ("http://localhost/cb", LISTENING, "http://localhost:34567/cb"),
        ("http://127.0.0.1:8765/cb", LISTENING, "http://127.0.0.1:8765/cb"),
        ("https://127.0.0.1:8182", LISTENING, "https://127.0.0.1:8182"),
        ("https://app.example/cb", None, "https://app.example/cb"),
        ("http://[::1]/", LISTENING, "http://[::1]:34567/"),
    ],
)
def test_the_redirect_is_the_written_one_at_the_port_of_the_listener(
    written: str | None, proposed: str | None, used: str
) -> None:
    """RFC 8252, 7.3: any port of a loopback address."""
    begun, _ = begin(proposed, redirect_uri=written)
    assert begun.redirect_uri == asked(begun)["redirect_uri"] == used


def test_a_redirect_to_another_machine_is_refused() -> None:
    """The API refuses it before."""
    assert isinstance(begin("http://evil.example/")[0], RejectedError)


def usual(url: str) -> dict[str, Any]:
    return {
        "issuer": url, "token_endpoint": f"{url}/token", "authorization_endpoint": f"{url}/a?x=1",
        "code_challenge_methods_supported": ["plain", "S256"],
        "pushed_authorization_request_endpoint": f"{url}/par",
    }  # fmt: skip


def changed(more: dict[str, Any], url: str) -> dict[str, Any]:
    return usual(url) | more


def test_the_metadata_say_what_a_server_cannot_do() -> None:
    """PKCE without S256, no endpoint."""
    begun, loopback = begin(document=usual, **BY_ISSUER)
    assert begun.url.startswith(f"{loopback.url}/a?x=1&client_id=fake-client")
    for odd in ({"code_challenge_methods_supported": ["plain"]}, {"authorization_endpoint": None}):
        outcome, _ = begin(document=partial(changed, odd), **BY_ISSUER)
        assert isinstance(outcome, ServerSettingsError), outcome
    assert isinstance(begin(document=lambda url: usual(url) | {"code_challenge_methods_supported": ["plain"]},
                            pkce=False, **BY_ISSUER)[0], BrowserLogin)  # fmt: skip


def test_a_request_is_pushed_where_the_server_demands_it() -> None:
    """RFC 9126: the browser gets a name of it."""
    pushing = {"require_pushed_authorization_requests": True}
    begun, loopback = begin(
        LISTENING,
        said(201, request_uri="urn:x:1", expires_in=60),
        document=lambda url: usual(url) | pushing,
        **BY_ISSUER,
    )
    assert isinstance(begun, BrowserLogin), begun
    assert asked(begun) == {"x": "1", "client_id": "fake-client", "request_uri": "urn:x:1"}
    pushed = loopback.requests[-1]
    assert (pushed.method, pushed.target) == ("POST", "/par")
    assert form(pushed)["state"] == begun.state.reveal()
    for answer, error in (
        (said(400, error="invalid_request"), TransientError),
        (said(401, error="invalid_client"), RejectedError),
        (said(201, request_uri="plan\nted"), TransientError),
        (said(201), TransientError),
    ):
        outcome, _ = begin(LISTENING, answer, document=lambda url: usual(url) | pushing, **BY_ISSUER)
        assert isinstance(outcome, error), outcome
    without = {**pushing, "pushed_authorization_request_endpoint": None}
    assert isinstance(begin(document=lambda url: usual(url) | without, **BY_ISSUER)[0], ServerSettingsError)


def test_the_code_is_exchanged_with_the_verifier() -> None:
    """What a refresh may repeat is kept; the scopes are those asked for where the answer says none."""
    (begun, found), (request,) = finish(granted(refresh_token=NEW), scope=["a"], resource="https://r.example")
    assert isinstance(found, Granted), found
    assert form(request) == {
        "grant_type": "authorization_code", "code": "fake-code", "redirect_uri": LISTENING,
        "code_verifier": begun.verifier.reveal(), "client_id": "fake-client", "resource": "https://r.example",
    }  # fmt: skip
    assert found.token is not None
    assert found.refresh_token is not None
    assert (found.token.value.reveal(), found.refresh_token.reveal(), found.scopes) == (TOKEN, NEW, ("a",))
    kept = {name: value.reveal() for name, value in found.parameters.items()}
    assert kept == {"redirect_uri": LISTENING, "code_verifier": begun.verifier.reveal(), "scope": "a"}
    without, _ = finish(granted(), pkce=False)
    assert without[1].parameters.keys() == {"redirect_uri"}


@pytest.mark.parametrize(
    "address",
    [
        ended(state="planted"), ended(state=None), ended(state=""), ended(code=None), ended(code=""),
        ended(state="planted", error="access_denied"),
        lambda begun: "planted", lambda begun: "", lambda begun: "http://[", lambda begun: begun.redirect_uri,
        lambda begun: ended()(begun).replace("127.0.0.1", "evil.example"),
        lambda begun: ended()(begun).replace("34567", "34568"),
        lambda begun: ended()(begun).replace("http:", "https:"),
        lambda begun: ended()(begun).replace("/?", "/other?"),
        lambda begun: ended()(begun) + "&state=planted",
        lambda begun: ended()(begun) + "&code=planted",
        lambda begun: ended()(begun) + "&x=" + "y" * 9000,
    ],
)  # fmt: skip
def test_an_address_of_another_login_changes_nothing(address: Ended) -> None:
    """Nothing is sent, and the message quotes nothing."""
    (_, error), posts = finish(granted(), address=address)
    assert isinstance(error, WrongStateError), error
    assert posts == []
    assert "planted" not in str(error)


def test_a_server_or_person_that_refuses_ends_the_login() -> None:
    """The words of the server are for the person; an unknown code is not quoted."""
    error, posts = finish(granted(), address=ended(error="access_denied", error_description="planted words"))
    assert isinstance(error, LoginRefusedError), error
    assert "access_denied" in str(error)
    assert (error.said, posts) == ("planted words", [])
    odd, _ = finish(granted(), address=ended(error="planted"))
    assert isinstance(odd, LoginRefusedError)
    assert "planted" not in str(odd)


@pytest.mark.parametrize(
    ("promised", "iss", "accepted"),
    [
        (False, None, True),
        (True, "URL", True),
        (False, "URL", True),
        (True, None, False),
        (False, "https://planted.example", False),
        (True, "URL/", False),
    ],
)
def test_the_issuer_is_compared_before_the_code_is_sent(promised: bool, iss: str | None, accepted: bool) -> None:
    """RFC 9207: a code of another server must not reach this one."""

    def document(url: str) -> dict[str, Any]:
        return usual(url) | {"authorization_response_iss_parameter_supported": promised}

    def address(begun: BrowserLogin) -> str:
        url = begun.url.partition("/a?")[0]
        return ended(iss=iss and iss.replace("URL", url))(begun)

    outcome, posts = finish(granted(), address=address, document=document, **BY_ISSUER)
    if accepted:
        assert isinstance(outcome[1], Granted), outcome
    else:
        assert isinstance(outcome, LoginRefusedError), outcome
        assert posts == []


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (said(400, error="invalid_grant"), LoginRefusedError),
        (said(200, error="bad_verification_code"), LoginRefusedError),
        (said(401, error="invalid_client"), RejectedError),
        (reply(b"", status=429), RateLimitedError),
        (reply(b"planted", status=500), TransientError),
        (reply(b"<html>planted</html>"), TransientError),
        (reply(b"{}", status=307, headers={"Location": "https://planted.example/"}), TransientError),
        (reply(b'{"access_token":"'), LostAnswerError),
        (reply(b"[]"), LostAnswerError),
        (reply(b" " * 300_000), LostAnswerError),
        (reply(b"{}", headers={"Content-Encoding": "gzip"}), LostAnswerError),
        (granted(access_token="plan\nted"), LostAnswerError),
        (reset, LostAnswerError),
    ],
)
def test_a_hostile_answer_to_the_code_is_an_error(behaviour: Behaviour, error: type[Exception]) -> None:
    """Nothing of it is quoted, and the code is sent once."""
    outcome, posts = finish(behaviour)
    assert type(outcome) is error, outcome
    assert "planted" not in str(outcome)
    assert len(posts) == 1


@pytest.mark.parametrize(
    "claims", [{"nonce": "planted", "aud": "fake-client"}, {"aud": "fake-client"}, {"nonce": None, "aud": ["other"]}]
)
def test_an_id_token_of_another_login_or_client_is_refused(claims: dict[str, Any]) -> None:
    """OpenID Connect: the nonce, the audience."""
    outcome, _ = finish(granted(id_token=jwt(**claims)), scope=["openid"])
    assert isinstance(outcome, LoginRefusedError), outcome


def test_metadata_are_asked_for_once_where_they_are_kept() -> None:
    """For the URL and for the exchange."""
    _, loopback = discover(None, metadata(usual), granted(), call=_both, **{**PUBLIC, **BY_ISSUER})
    assert [request.method for request in loopback.requests] == ["GET", "POST"]


async def _both(settings: Any, runtime: Any) -> Any:
    begun = await settings.begin_browser(runtime, LISTENING)
    return await settings.finish_browser(runtime, begun, ended()(begun))
