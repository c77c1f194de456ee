"""A login with a browser: the address that is opened, and what is sent with the one at which it ends."""

import hashlib
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import pytest

from tests.providers.http.asking import TOKEN, granted, said
from tests.providers.http.logging_in import LOGIN, REDIRECT, personal, play
from tests.providers.live import LiveRuntime
from tests.upstream.loopback import Behaviour, Loopback
from tokend.plugin.login import BrowserLogin
from tokend.providers.http.kind import Http
from tokend.values.errors import (
    AttemptError,
    LoginRefusedError,
    LostAnswerError,
    RateLimitedError,
    RejectedError,
    WrongStateError,
)
from tokend.values.logins import Granted

# It returns no state by itself.
VENDOR = "https://vendor.example/"


def begun(proposed: str | None = None, **login: Any) -> BrowserLogin:
    """Begin a login."""
    made = personal(login={key: one for key, one in {**LOGIN, **login}.items() if one is not None})
    assert made.login_flows == ("browser",)

    async def main() -> BrowserLogin:
        return await made.begin_browser(LiveRuntime(made), proposed)

    return anyio.run(main)


def finish(
    address: str, *script: Behaviour, login: dict[str, Any] | None = None, **keys: Any
) -> tuple[Granted | AttemptError | WrongStateError, Loopback]:
    """Finish a login by an address, in which STATE is the state."""

    async def step(made: Http, runtime: LiveRuntime) -> Granted | AttemptError | WrongStateError:
        one = await made.begin_browser(runtime, None)
        try:
            return await made.finish_browser(runtime, one, address.replace("STATE", one.state.reveal()))
        except (AttemptError, WrongStateError) as error:
            return error

    return play(lambda url: personal(url, login={**LOGIN, **(login or {})}, **keys), step, *script)


def test_the_address_has_the_secrets_and_a_new_state_each_time() -> None:
    """256 random bits; nothing of it is in a repr."""
    one, other = begun(), begun()
    query = dict(parse_qsl(urlsplit(one.url).query))
    assert query == {"key": "fake-api-key", "pass": f"state={one.state.reveal()}"}
    assert (len(one.state.reveal()) >= 43, one.state != other.state, one.returns_state) == (True, True, True)
    assert (one.redirect_uri, one.verifier) == (REDIRECT, None)
    assert "fake-api-key" not in repr(one)
    assert one.state.reveal() not in repr(one)


def test_the_vendor_is_told_where_the_command_listens_if_the_url_says_so() -> None:
    """Else the browser ends where it is registered, whatever the command proposes."""
    told = "https://vendor.example/?back={redirect_uri}&s={state}"
    free = begun("http://127.0.0.1:7777/", url=told, redirect_uri=None)
    assert (free.redirect_uri, dict(parse_qsl(urlsplit(free.url).query))["back"]) == ("http://127.0.0.1:7777/",) * 2
    assert begun("http://127.0.0.1:7777/", url=told, redirect_uri="http://localhost/cb").redirect_uri == (
        "http://localhost:7777/cb"
    )
    assert begun("http://127.0.0.1:7777/", redirect_uri="http://localhost/cb").redirect_uri == "http://localhost/cb"


def test_a_state_in_the_redirect_is_part_of_it() -> None:
    """In its path or in its query."""
    in_path = begun(url="https://vendor.example/", redirect_uri="https://app.example/of/{state}")
    assert in_path.redirect_uri == f"https://app.example/of/{in_path.state.reveal()}"
    assert begun(url="https://vendor.example/", redirect_uri="https://app.example/").returns_state is False


def test_what_the_browser_brings_is_sent_once_with_what_is_computed_over_it() -> None:
    """The checksum is made of a secret, the code and another secret; the answer has the account."""
    done, loopback = finish(f"{REDIRECT}?code=fake-code&action=login&state=STATE", granted(who=1234))
    assert isinstance(done, Granted), done
    (request,) = loopback.requests
    total = hashlib.sha256(b"fake-api-keyfake-codefake-api-secret").hexdigest()
    assert json.loads(request.body) == {"key": "fake-api-key", "code": "fake-code", "sum": total}
    assert done.token is not None
    assert (done.token.value.reveal(), done.refresh_token, done.subject) == (TOKEN, None, "1234")
    assert (done.origin, dict(done.parameters)) == (loopback.url, {})


@pytest.mark.parametrize(
    ("address", "login"),
    [
        (f"{REDIRECT}?code=stolen&state=another", {}),
        (f"{REDIRECT}?code=stolen", {}),
        (f"{REDIRECT}?code=stolen&state=another&x=STATE", {}),
        (f"{REDIRECT}other?code=stolen&state=STATE", {}),
        (f"{REDIRECT}?state=STATE", {}),
        (f"{REDIRECT}?state=STATE&code=", {}),
        (f"{REDIRECT}of/another?code=stolen", {"url": VENDOR, "redirect_uri": REDIRECT + "of/{state}"}),
        (f"{REDIRECT}?state=another&code=stolen", {"url": VENDOR, "redirect_uri": REDIRECT + "?state={state}"}),
    ],
)
def test_an_address_of_another_login_or_without_its_parameters_sends_nothing(address: str, login: Any) -> None:
    """The login goes on: the right address may still come."""
    error, loopback = finish(address, login=login)
    assert isinstance(error, WrongStateError)
    assert loopback.requests == []


@pytest.mark.parametrize(
    ("address", "login"),
    [
        (f"{REDIRECT}?code=fake-code&back=STATE", {}),
        (f"{REDIRECT}of/STATE?code=fake-code", {"url": VENDOR, "redirect_uri": REDIRECT + "of/{state}"}),
        (f"{REDIRECT}?state=STATE&code=c", {"url": VENDOR, "redirect_uri": REDIRECT + "?state={state}"}),
        (f"{REDIRECT}?code=fake-code", {"url": VENDOR}),
    ],
)
def test_the_state_may_come_back_under_any_name_or_in_the_path(address: str, login: Any) -> None:
    """A vendor that returns none is not asked for one."""
    done, _ = finish(address, granted(), login=login)
    assert isinstance(done, Granted), done


def test_a_person_who_declines_ends_the_login() -> None:
    """The words are for the person alone."""
    error, loopback = finish(f"{REDIRECT}?error=access_denied&error_description=planted+words&state=STATE")
    assert isinstance(error, LoginRefusedError)
    assert "planted" not in str(error)
    assert "planted words" in error.whole
    assert loopback.requests == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (said(403, message="planted"), RejectedError),
        (said(400, message="planted", code="dead"), LoginRefusedError),
        (said(429), RateLimitedError),
        (said(200), LostAnswerError),
    ],
)
def test_a_refused_or_odd_answer_is_what_it_is(answer: Behaviour, expected: type[Exception]) -> None:
    """A code is spent once: half an answer may have spent it."""
    rows = [{"status": 400, "means": "login_required"}, {"status": 403, "means": "rejected"}]
    error, _ = finish(f"{REDIRECT}?code=fake-code&state=STATE", answer, errors=rows)
    assert type(error) is expected, error
    assert "planted" not in str(error)


def test_a_token_that_cannot_be_used_is_a_fault_beside_the_grant() -> None:
    """The account is known nevertheless."""
    done, _ = finish(f"{REDIRECT}?code=c&state=STATE", granted(life=-5, who="me"))
    assert isinstance(done, Granted)
    assert (done.token, done.subject) == (None, "me")
    assert done.fault is not None


def test_there_is_no_login_on_another_device() -> None:
    """Nor a way to revoke one."""
    made = personal()

    async def main() -> None:
        runtime = LiveRuntime(made)
        with pytest.raises(RejectedError):
            await made.begin_device(runtime)
        with pytest.raises(RejectedError):
            await made.poll_device(runtime, None)  # type: ignore[arg-type]  # it looks at nothing
        with pytest.raises(LoginRefusedError):
            await made.fetch(runtime, None)
        assert await made.initial_refresh_token(runtime) is None
        assert (made.can_revoke, made.login_scopes) == (False, ())

    anyio.run(main)
