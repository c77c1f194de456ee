"""Rules between the keys: each fault at its key, all of them at once."""

from typing import Any

import pytest

from tests.providers.http.asking import faults_of

# A table with a refresh token.
REFRESHED: dict[str, Any] = {
    "answer": {"token": "t", "refresh_token": "r"},
    "renew": {"headers": {"X-Refresh": "{refresh_token}"}},
}


@pytest.mark.parametrize(
    ("keys", "where", "why"),
    [
        ({"request": {"headers": {"X-K": "{kee}"}}}, "request.headers.X-K", 'no placeholder "kee"'),
        ({"request": {"json": {"t": "{token}"}}}, "request.json.t", 'no placeholder "token"'),
        ({"renew": {"headers": {"X-K": "{extra.no}"}}}, "renew.headers.X-K", 'no placeholder "extra.no"'),
        ({"renew": {"url": "https://evil.example/x"}}, "renew.url", "must be those of request.url"),
        ({"renew": {"url": "https://api.example:444/x"}}, "renew.url", "must be those of request.url"),
        ({"renew": {"token_optional": 1}}, "renew.token_optional", "valid boolean"),
        ({"headers": {"X-K": "{extra.no}"}}, "headers.X-K", 'no placeholder "extra.no"'),
        ({"headers": {"X-K": "{body}"}}, "headers.X-K", 'no placeholder "body"'),
        ({"headers": {"X-K": "{"}}, "headers.X-K", "has no counterpart"),
        (
            {"values": {"v": {"parts": ["refresh_token"]}}, "headers": {"X-K": "{v}"}, **REFRESHED},
            "headers.X-K",
            "is computed of refresh_token, which there is not here",
        ),
        ({"secrets": {"key": {"env": "A"}, "redirect_uri": {"env": "A"}}}, "secrets.redirect_uri", "is built in"),
        ({"secrets": {"key": {"env": "A"}, "now_ms": {"env": "A"}}}, "secrets.now_ms", "is built in"),
        ({"values": {"key": {"parts": ["method"]}}}, "values.key", "has this name, too"),
        ({"values": {"v": {"parts": ["w"]}}}, "values.v.parts.0", 'no name "w"'),
        ({"values": {"v": {"parts": ["v"]}}}, "values.v", "a circle"),
        ({"answer": {"token": "t", "unit": "ms"}}, "answer.unit", "it is for expires_in"),
        ({"answer": {"token": "t", "timezone": "UTC"}}, "answer.timezone", "it is for expires_at"),
        ({"answer": {"expires_in": "t"}}, "answer.token", "Field required"),
        ({"answer": {"token": "t", "status": 500}}, "answer.status", "is no success"),
        ({"answer": {"token": "t", "success": "a["}}, "answer.success", "not JMESPath"),
        ({"answer": {"token": "t", "expires_daily": "6 Uhr"}}, "answer.expires_daily", "06:00 Asia/Kolkata"),
        ({"answer": {"token": "t", "expires_daily": "06:00 A/B"}}, "answer.expires_daily", "the package tzdata"),
        ({"answer": {"token": "t", "status": "ok"}}, "answer.status", "expected a status, 201, or several: [200, 201]"),
        ({"answer": {"token": "t", "status": [302]}}, "answer.status", "5xx is an error of the server"),
        ({"answer": {"token": 5}}, "answer.token", "expected a string: a place is a JMESPath expression"),
        ({"values": {"v": {"totp": "key", "digits": 9}}}, "values.v.digits", "less than or equal to 8"),
        ({"request": {"url": "http://metadata.google.internal/x"}}, "request.url", "as an address: http://169.254"),
        ({"errors": [{"means": "rejected"}]}, "errors.0", "a row of errors has a condition"),
        ({"request": {"url": "http://api.example/x"}}, "request.url", "https"),
    ],
)
def test_a_table_that_cannot_work_is_refused_at_its_key(keys: dict[str, Any], where: str, why: str) -> None:
    """With advice."""
    found = faults_of(**keys)
    assert list(found) == [where]
    assert why in found[where]


def test_all_faults_are_reported_at_once() -> None:
    """Those of single keys, and those between keys."""
    found = faults_of(
        request={"headers": {"X-K": "{kee}"}},
        renew={"url": "https://evil.example/x", "method": "FETCH"},
        headers={"X-K": "{extra.no}"},
        values={"v": {"parts": ["w"]}, "u": {"output": "morse", "parts": ["body"]}},
        answer={"expires_in": "a[", "unit": "ms", "timezone": "UTC"},
        min_interval="soon",
        answr={},
    )
    assert {*found} == {
        "request.headers.X-K", "renew.method", "headers.X-K", "values.v.parts.0", "values.u.output", "answer.token",
        "answer.expires_in", "answer.timezone", "min_interval", "answr",
    }  # fmt: skip


def test_every_fault_of_the_headers_is_at_its_header() -> None:
    """Also where the text of another one cannot be read."""
    headers = {"Host": "h", "Content-Length": "1", "X-A": "a\r\nB: c", "X-B": "{", "X-C": "1", "x-c": "2"}
    found = faults_of(request={"headers": headers})
    for name, why in {
        "Host": "Host is set by tokend itself",
        "Content-Length": "Content-Length is set by tokend itself",
        "X-A": "a header's value is one line of ASCII",
        "X-B": "has no counterpart",
        "x-c": "a header stands here twice",
    }.items():
        assert why in found.pop(f"request.headers.{name}")
    assert not found


def test_a_value_with_an_error_of_its_own_is_no_unknown_name() -> None:
    """Nor is a login or a refresh token unused whose use may be in it."""
    found = faults_of(
        values={"d": {"hsh": "sha256", "parts": ["body"]}},
        request={"headers": {"X-D": "{d}"}},
        renew={"headers": {"X-D": "{d}"}},
        answer={"token": "t", "refresh_token": "r"},
    )
    assert list(found) == ["values.d.hsh"]


@pytest.mark.parametrize("keys", [{"headers": 5}, {"headers": {"X-K": 5}}, {"secrets": 5}, {"values": {"v": 5}},
                                  {"values": []}])  # fmt: skip
def test_what_is_no_table_is_an_error_of_its_key(keys: dict[str, Any]) -> None:
    """And no exception."""
    (key,) = keys
    assert any(where.startswith(key) for where in faults_of(**keys))
