"""Findings of an answer: success, rows, and what is at its places."""

from typing import Any

import pytest

from tests.plugin.declared.replies import answer
from tests.providers.http.asking import TOKEN, error_of, granted, said, settings, token_of, with_lines
from tests.upstream.loopback import reply
from tokend.providers.http.found import look
from tokend.values.errors import RejectedError, TransientError


@pytest.mark.parametrize(
    ("status", "keys", "success"),
    [
        (200, {}, True), (201, {}, True), (299, {}, True), (302, {}, False), (400, {}, False),
        (200, {"status": [201, 202]}, False), (202, {"status": [201, 202]}, True), (404, {"status": 404}, True),
        (200, {"success": "ok"}, True), (200, {"success": "no"}, False), (400, {"success": "ok"}, False),
        (200, {"success": "length(ok) == `1`"}, False),
    ],
)  # fmt: skip
def test_a_success_has_a_status_and_what_must_hold(status: int, keys: dict[str, Any], success: bool) -> None:
    """By default any 2xx. An expression that cannot be applied does not hold."""
    made = settings(answer={"token": "token", **keys})
    assert look(answer({"ok": True, "no": None}, status), made.answer, ()).is_success is success


def test_a_success_without_a_row_grants_and_nothing_is_looked_up_in_any_other() -> None:
    """A large body of an error costs no evaluation."""
    made = settings(errors=[{"when": "error", "means": "rejected"}])
    found = look(answer({"token": "planted", "error": "x"}), made.answer, made.errors)
    assert (found.is_granted, found.is_success, found.values, found.code) == (False, True, {}, "x")
    granted = look(answer({"token": "planted"}), made.answer, made.errors)
    assert (granted.is_granted, granted.values["token"]) == (True, "planted")
    assert "planted" not in repr(granted)


@pytest.mark.parametrize(
    ("behaviour", "place"),
    [
        (said(a=[{"b": TOKEN}]), "a[0].b"),
        (reply(b"{}", headers={"X-Auth-Token": TOKEN}), {"header": "x-auth-token"}),
        (with_lines("Set-Cookie: a=b; Path=/", f"Set-Cookie: sid={TOKEN}; HttpOnly", body=b""), {"cookie": "sid"}),
        (reply(f"{TOKEN}\n".encode(), headers={"Content-Type": "text/plain"}), {"text": True}),
        (said(a="b2J2aW91c2x5LWZha2UtYWNjZXNzLXRva2Vu"), {"json": "a", "encoding": "base64"}),
        (reply(b"", headers={"Location": f"/t/{TOKEN}"}), {"header": "Location", "after_last": "/"}),
    ],
    ids=["json", "header", "cookie", "text", "base64", "last"],
)
def test_a_token_may_be_anywhere_in_an_answer(behaviour: Any, place: Any) -> None:
    """From the body to the second cookie."""
    assert token_of(behaviour, answer={"token": place, "lifetime": "1h"}).value.reveal() == TOKEN


@pytest.mark.parametrize(
    ("behaviour", "place"),
    [
        (reply(b"<html>planted</html>"), {"text": True}),
        (reply(b'{"error":"planted"}'), {"text": True}),
        (reply(b"planted\nplanted"), {"text": True}),
        (reply(b""), {"text": True}),
        (reply(b"{}"), {"header": "X-Token"}),
        (with_lines("Set-Cookie: sid=planted; Max-Age=0"), {"cookie": "sid"}),
        (with_lines("Set-Cookie: sid2=planted"), {"cookie": "sid"}),
        (with_lines("X-Token: plan\x01ted"), {"header": "X-Token"}),
    ],
    ids=["page", "object", "lines", "empty", "header", "deleted", "other", "control"],
)
def test_what_is_no_token_is_discarded_wherever_it_is(behaviour: Any, place: Any) -> None:
    """The message quotes nothing."""
    assert isinstance(error_of(behaviour, answer={"token": place, "lifetime": "1h"}), TransientError)


def test_an_error_within_a_success_is_known_by_a_row() -> None:
    """With the number of the row."""
    rows = [{"when": "error[?starts_with(@, 'E:key')]", "means": "rejected"}]
    error = error_of(said(error=["E:key planted"], token=TOKEN, life=5), errors=rows)
    assert isinstance(error, RejectedError)
    assert "row 1 of errors" in str(error)
    assert isinstance(error_of(said(error=["E:other"]), errors=rows), TransientError)
    assert token_of(granted(error=[]), errors=rows).value.reveal() == TOKEN
