"""`tokend request-id`: a new id for each call."""

import json
import re

from tests.cli.running import Running


def test_a_request_id_is_new_for_every_call(running: Running) -> None:
    """app-company--guid, never the same."""
    first, second = (running.tokend("request-id", "tt") for _ in range(2))
    assert re.fullmatch(r"Test-YourCompany--[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n", first.out)
    assert first.out != second.out


def test_kinds_without_request_ids_say_so(running: Running) -> None:
    """Exit code 2 for another kind, 5 for no token."""
    done = running.tokend("request-id", "partner")
    assert (done.code, done.out) == (2, "")
    assert "kind jwt needs no request id" in done.err
    assert running.tokend("request-id", "nosuch").code == 5


def test_a_request_id_as_json(running: Running) -> None:
    """`-o json`: with the token's name."""
    answer = json.loads(running.tokend("request-id", "tt", "-o", "json").out)
    assert answer.pop("request_id").startswith("Test-YourCompany--")
    assert answer == {"version": 1, "name": "tt"}
