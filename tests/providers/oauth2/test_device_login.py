"""A login on another device: the code, and the polls."""

from typing import Any

import pytest

from tests.providers.live import NOW, at, env
from tests.providers.oauth2.asking import TOKEN, basic, form, granted, said
from tests.providers.oauth2.discovering import discover
from tests.providers.oauth2.logins import NEW, PUBLIC
from tests.upstream.loopback import Behaviour, raw, reply, reset
from tokend.plugin.login import DeviceLogin
from tokend.values.errors import LoginRefusedError, RateLimitedError, RejectedError, TransientError
from tokend.values.logins import Granted
from tokend.values.secret import Secret

DEVICE: dict[str, Any] = {**PUBLIC, "grant": "device_code"}
PLACE = "https://login.example/device"


def offered(**more: Any) -> Behaviour:
    """Return a usual offer; None removes a member."""
    whole = {"device_code": "fake-device-code", "user_code": "ABCD-EFGH", "verification_uri": PLACE,
             "expires_in": 900, "interval": 7, **more}  # fmt: skip
    return said(**{key: value for key, value in whole.items() if value is not None})


def begin(*script: Behaviour, **keys: Any) -> Any:
    async def call(settings: Any, runtime: Any) -> Any:
        return await settings.begin_device(runtime)

    return discover(None, *script, call=call, **{**DEVICE, **keys})


def poll(*script: Behaviour, **keys: Any) -> Any:
    begun = DeviceLogin(PLACE, None, "ABCD", Secret("fake-device-code"), 7.0, at(NOW + 900))

    async def call(settings: Any, runtime: Any) -> Any:
        return await settings.poll_device(runtime, begun)

    return discover(None, *script, call=call, **{**DEVICE, **keys})


def test_a_person_gets_an_address_and_a_code() -> None:
    """RFC 8628, 3.1 and 3.2."""
    begun, loopback = begin(
        offered(verification_uri_complete=f"{PLACE}?c=1"),
        scope=["a"], resource="https://r.example", login_parameters={"x": "y"},
    )  # fmt: skip
    assert isinstance(begun, DeviceLogin), begun
    assert (begun.verification_uri, begun.verification_uri_complete) == (PLACE, f"{PLACE}?c=1")
    assert (begun.user_code, begun.interval_seconds, begun.expires_at) == ("ABCD-EFGH", 7, at(NOW + 900))
    (request,) = loopback.requests
    assert request.target == "/device"
    assert form(request) == {"client_id": "fake-client", "scope": "a", "resource": "https://r.example", "x": "y"}
    assert "fake-device-code" not in repr(begun)


def test_a_client_with_a_secret_proves_itself_there_as_well() -> None:
    """Also where tokens are asked for with JSON."""
    begun, loopback = begin(offered(), client_secret=env("CLIENT_SECRET"), encoding="json")
    assert isinstance(begun, DeviceLogin)
    assert basic(loopback.requests[0]).startswith("fake-client:")
    assert form(loopback.requests[0]) == {"client_id": "fake-client"}


@pytest.mark.parametrize(
    ("members", "field", "value"),
    [
        ({"verification_uri": None, "verification_url": PLACE}, "verification_uri", PLACE),
        ({"interval": None}, "interval_seconds", 5),
        ({"interval": "9"}, "interval_seconds", 9),
        ({"interval": 0}, "interval_seconds", 5),
        ({"interval": -3}, "interval_seconds", 5),
        ({"interval": True}, "interval_seconds", 5),
        ({"interval": "soon"}, "interval_seconds", 5),
        ({"interval": [1]}, "interval_seconds", 5),
        ({"interval": 1e300}, "interval_seconds", 300),
        ({"expires_in": None}, "expires_at", at(NOW + 600)),
        ({"expires_in": "60"}, "expires_at", at(NOW + 60)),
        ({"verification_uri_complete": "http://planted.example"}, "verification_uri_complete", None),
        ({"verification_uri_complete": "https://a.example/\x1b"}, "verification_uri_complete", None),
    ],
)
def test_an_odd_offer_is_usable(members: dict[str, Any], field: str, value: Any) -> None:
    """Google says verification_url."""
    begun, _ = begin(offered(**members))
    assert isinstance(begun, DeviceLogin), begun
    assert getattr(begun, field) == value


@pytest.mark.parametrize(
    "behaviour",
    [
        offered(verification_uri="http://planted.example/"), offered(verification_uri="https://a.example/\nplanted"),
        offered(verification_uri=None), offered(user_code="plan\x1bted"), offered(user_code="x" * 101),
        offered(user_code=None), offered(device_code=7), offered(device_code=None), offered(expires_in=-1),
        offered(expires_in="planted"), offered(expires_in=0), reply(b"<html>planted</html>"), reply(b"[]"),
        reply(b'{"device_code":'), reply(b"planted", status=500), reply(b"", status=302), reply(b" " * 300_000),
        reply(b"{}", headers={"Content-Encoding": "gzip"}), reset, raw(b""), said(400, error="planted"),
        reply(b"\xef\xbb\xbf{}"),
    ],
)  # fmt: skip
def test_a_hostile_offer_is_transient(behaviour: Behaviour) -> None:
    """Nothing of it is shown: an address is https and printable, a code is printable."""
    outcome, loopback = begin(behaviour)
    assert isinstance(outcome, TransientError), outcome
    assert "planted" not in str(outcome)
    assert len(loopback.requests) == 1


def test_a_client_that_is_refused_gets_no_code() -> None:
    """And a pause is one."""
    assert isinstance(begin(said(401, error="invalid_client"))[0], RejectedError)
    assert isinstance(begin(reply(b"", status=429))[0], RateLimitedError)


def test_a_poll_brings_the_login() -> None:
    """RFC 8628, 3.4."""
    found, loopback = poll(granted(refresh_token=NEW), resource="https://r.example")
    assert isinstance(found, Granted), found
    assert found.token is not None
    assert found.token.value.reveal() == TOKEN
    assert form(loopback.requests[0]) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": "fake-device-code",
        "client_id": "fake-client", "resource": "https://r.example",
    }  # fmt: skip


@pytest.mark.parametrize("status", [200, 400, 428])
def test_a_person_who_has_not_finished_is_waited_for(status: int) -> None:
    """slow_down adds five seconds for good; GitHub names the new interval, with status 200."""
    assert poll(said(status, error="authorization_pending"))[0] == 7
    assert poll(said(status, error="slow_down"))[0] == 12
    assert poll(said(status, error="slow_down", interval=30))[0] == 30
    assert poll(said(status, error="slow_down", interval=1))[0] == 12


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (said(400, error="access_denied"), LoginRefusedError),
        (said(400, error="expired_token"), LoginRefusedError),
        (said(400, error="invalid_grant"), LoginRefusedError),
        (said(200, error="incorrect_device_code"), LoginRefusedError),
        (said(401, error="invalid_client"), RejectedError),
        (reply(b"", status=429), RateLimitedError),
        (said(503, error="authorization_pending"), TransientError),
        (said(403, error="planted"), TransientError),
        (reply(b"<html>planted</html>"), TransientError),
        (reply(b"<html>planted</html>", status=400), TransientError),
        (reply(b"{}"), TransientError),
        (reply(b'{"access_token":'), TransientError),
        (reply(b"", status=302), TransientError),
        (granted(access_token="plan\nted"), TransientError),
        (reset, TransientError),
    ],
)
def test_any_other_answer_is_an_error(behaviour: Behaviour, error: type[Exception]) -> None:
    """What decides nothing is asked again."""
    outcome, _ = poll(behaviour)
    assert isinstance(outcome, error), outcome
    assert "planted" not in str(outcome)


def test_a_row_counts_before_the_meaning_of_a_poll() -> None:
    """Also before authorization_pending."""
    rows = [{"when": "error_code == '7'", "means": "login_required"}]
    outcome, _ = poll(said(400, error="authorization_pending", error_code="7"), errors=rows)
    assert isinstance(outcome, LoginRefusedError)
