"""Problem documents (RFC 9457)."""

import json

from tokend.httpd.problem import bad_request, internal, not_supported, problem


def test_a_document_has_the_phrase_of_its_status_and_a_code_for_programs() -> None:
    """RFC 9457, section 4.2.1: the title of about:blank is the phrase of the status."""
    response = problem(bad_request("min_ttl is no duration"))
    assert (response.status, response.content_type) == (400, "application/problem+json")
    assert json.loads(response.body) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "min_ttl is no duration",
        "code": "bad_request",
    }


def test_errors_of_fields_are_a_member_of_their_own() -> None:
    """Programs show them beside their fields."""
    response = problem(bad_request("wrong fields", errors={"username": ["is taken"]}))
    assert json.loads(response.body)["errors"] == {"username": ["is taken"]}


def test_another_method_is_answered_with_those_that_are_allowed() -> None:
    """RFC 9110, section 15.5.6: Allow is required with 405."""
    response = problem(not_supported("read it", allow="GET, HEAD"))
    assert (response.status, response.headers) == (405, (("Allow", "GET, HEAD"),))


def test_a_bug_is_reported_without_details() -> None:
    """The client learns where they are."""
    response = internal()
    assert response.status == 500
    assert json.loads(response.body)["detail"] == "an unexpected error occurred; the daemon's log has the details"
