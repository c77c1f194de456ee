"""End of a token: every unit and form that vendors use, and every impossible value."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.upstream.clocks import StandingClock
from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.token_expiry import MISSING, expiry, jwt_expiry
from tokend.values.errors import TransientError
from tokend.values.secret import Secret

NOW = 1_700_000_000
DAY = 86400.0
OPAQUE = Secret("fake-opaque-token")


def answer(*, offset: float = 0.0) -> UpstreamReply:
    """A reply to a request sent at NOW."""
    return UpstreamReply(200, {}, b"", StandingClock(NOW).instant(), None, offset)


def jwt(**claims: Any) -> Secret:
    """Return an unsigned JWT."""
    return Secret(b"e30." + base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=") + b".fake")


def life(token: Secret = OPAQUE, *, offset: float = 0.0, **fields: Any) -> float | None:
    """Return the token's lifetime in seconds from the sending of the request."""
    reply = answer(offset=offset)
    moment = expiry(reply, token, host="host:443", **fields)
    if moment is None:
        return None
    assert moment.wall == reply.sent_at.after(reply.sent_at.until(moment)).wall
    return reply.sent_at.until(moment)


@pytest.mark.parametrize(
    ("value", "unit", "seconds"),
    [(3600, 1, 3600), ("3600", 1, 3600), (1440, 60, DAY), ("1440", 60, DAY), (0.5, 60, 30), (" 90 ", 1, 90)],
)
def test_a_relative_life_counts_from_the_sending(value: Any, unit: float, seconds: float) -> None:
    """A number, or a numeric string, times the vendor's unit (docs/promises.md 14)."""
    assert life(relative=value, unit_seconds=unit) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    ["3600abc", "", " ", "abc", "1e3", "0x10", "٣٦٠٠", "+5", True, False, None, [], [3600], {}, float("nan"), 10**400],
    ids=repr,
)
def test_what_is_no_time_is_refused(value: Any) -> None:
    """docs/promises.md 13 and 14: a senseless field makes the reply invalid; no default replaces it."""
    for field in ("relative", "absolute"):
        with pytest.raises(TransientError):
            life(jwt(exp=NOW + 60), default_seconds=DAY, **{field: value})


@pytest.mark.parametrize("value", [0, "0", -5, -0.1, 1e-320 * 0])
def test_no_life_is_refused(value: Any) -> None:
    """docs/promises.md 15: a token without a lifetime would cause endless requests."""
    with pytest.raises(TransientError):
        life(relative=value)


@pytest.mark.parametrize("seconds", [400 * DAY + 1, 10 * 365 * DAY, 86_400_000])
def test_more_than_400_days_are_refused(seconds: float) -> None:
    """docs/promises.md 17: probably milliseconds instead of seconds. Other fields of the reply do not help."""
    with pytest.raises(TransientError):
        life(relative=seconds)
    with pytest.raises(TransientError):
        life(jwt(exp=NOW + 60), relative=seconds)
    with pytest.raises(TransientError):
        life(absolute=NOW + seconds)
    with pytest.raises(TransientError):
        life(jwt(exp=NOW + seconds))


def test_400_days_are_believed() -> None:
    """The limit itself is allowed."""
    assert life(relative=400 * DAY) == 400 * DAY


@pytest.mark.parametrize(
    "value",
    [
        NOW + 300,
        str(NOW + 300),
        (NOW + 300) * 1000,
        (NOW + 300) * 1_000_000,
        (NOW + 300) * 1_000_000_000,
        "2023-11-14T22:18:20Z",
        "2023-11-14T22:18:20.000Z",
        "2023-11-14T22:18:20",
        "2023-11-14T23:18:20+01:00",
        "Tue, 14 Nov 2023 22:18:20 GMT",
    ],
)
def test_an_absolute_time_is_read_by_form_and_magnitude(value: Any) -> None:
    """The forms are seconds, milliseconds, microseconds, nanoseconds, ISO 8601 and RFC 1123."""
    assert life(absolute=value) == pytest.approx(300, abs=0.001)


def test_an_absolute_time_is_the_upstreams() -> None:
    """docs/promises.md 26: five minutes stay five minutes if the upstream's clock is two hours ahead."""
    assert life(absolute=NOW + 7200 + 300, offset=7200) == pytest.approx(300)
    assert life(jwt(exp=NOW - 7200 + 300), offset=-7200) == pytest.approx(300)
    assert life(relative=300, offset=7200) == 300


def test_expired_on_arrival_is_refused() -> None:
    """docs/promises.md 18."""
    with pytest.raises(TransientError):
        life(absolute=NOW)
    with pytest.raises(TransientError):
        life(jwt(exp=NOW - 1), relative=3600)


def test_the_earliest_of_all_that_is_said_holds() -> None:
    """The earlier of the reply's field and the token's own `exp` counts."""
    assert life(jwt(exp=NOW + 60), relative=300) == 60
    assert life(jwt(exp=NOW + 300), relative=60) == 60
    assert life(absolute=NOW + 120, relative=60) == 60
    assert life(jwt(exp=NOW + 10 * 365 * DAY), relative=60) == 60


def test_without_a_word_the_vendors_default_holds() -> None:
    """docs/promises.md 16: the JWT's exp counts, then the default; without both the token does not end."""
    assert life(jwt(exp=NOW + 60), default_seconds=DAY) == 60
    assert life(default_seconds=DAY) == DAY
    assert life(relative=MISSING) is None


@pytest.mark.parametrize(
    "token",
    [
        "opaque",
        "a.b",
        "ghs_fake.with.dots",
        "a.b.c.d.e",
        "..",
        "e30.e30.x",
        "e30.W10.x",
        "e30.bnVsbA.x",
        "e30." + "W1tb" * 30000 + ".x",
    ],
    ids=lambda token: token[:20],
)
def test_what_is_no_jwt_has_no_expiry(token: str) -> None:
    """Tokens are opaque: two dots do not make a JWT."""
    assert jwt_expiry(Secret(token)) is None


@pytest.mark.parametrize("exp", [True, None, [], "soon", float("nan"), float("inf"), 10**400], ids=repr)
def test_a_jwt_with_a_senseless_exp_has_no_expiry(exp: Any) -> None:
    """An untrusted claim must not cause a crash."""
    assert jwt_expiry(jwt(exp=exp)) is None


def test_the_seeds_sample_token_has_no_expiry() -> None:
    """ProjectX's published sample carries `sub`, `name`, `iat` and no `exp`."""
    assert jwt_expiry(jwt(sub="1234567890", name="John Doe", iat=1516239022)) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda children: st.lists(children) | st.dictionaries(st.text(), children),
        max_leaves=5,
    )
)
def test_no_field_is_a_crash(value: Any) -> None:
    """Any field gives a moment within 400 days or a transient error."""
    for field in ("absolute", "relative"):
        try:
            seconds = life(**{field: value})
        except TransientError:
            continue
        assert seconds is not None
        assert 0 < seconds <= 400 * DAY


def test_a_zero_that_means_never_leaves_the_word_to_what_else_is_said() -> None:
    """The default does not count then. An absolute field and the JWT's `exp` still end the token."""
    assert life(relative=0, zero_means="never", default_seconds=DAY) is None
    assert life(jwt(exp=NOW + 60), relative=0, zero_means="never") == pytest.approx(60)
    assert life(relative=0, absolute=NOW + 90, zero_means="never") == pytest.approx(90)
    with pytest.raises(TransientError):
        life(absolute=0, zero_means="never")
    with pytest.raises(TransientError):
        life(relative=0, default_seconds=DAY)
