"""Parameters of requests to the sandbox's OAuth 2 server."""

import pytest

from tests.sandbox.browsing import TOKEN, basic
from tests.sandbox.player import Play


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"grant_type=client_credentials&grant_type=client_credentials", "application/x-www-form-urlencoded"),
        (b'{"grant_type":"client_credentials"}', "application/json"),
        (b"grant_type=client_credentials", "text/plain"),
        ("grant_type=é".encode(), "application/x-www-form-urlencoded"),
    ],
)
def test_a_body_that_is_no_form_is_refused(play: Play, body: bytes, kind: str) -> None:
    """A parameter that stands twice, JSON, another type, raw bytes."""
    answer = play().call("POST", TOKEN, body, headers={"Content-Type": kind, **basic()})
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


def test_a_parameter_without_a_value_counts_as_absent(play: Play) -> None:
    """RFC 6749, section 3.2."""
    body = b"grant_type=client_credentials&scope=&resource="
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", **basic()}
    assert play().call("POST", TOKEN, body, headers=headers).status == 200


@pytest.mark.parametrize("body", [b"[]", b'{"grant_type":1}', b""])
def test_a_body_of_json_is_an_object_of_strings(play: Play, body: bytes) -> None:
    """Where the server wants JSON."""
    headers = {"Content-Type": "application/json", **basic()}
    assert play(oauth2_encoding="json").call("POST", TOKEN, body, headers=headers).status == 400
