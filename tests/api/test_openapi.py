"""The description for machines, compared with what is really answered."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.api.described import NAMED
from tests.api.fake_engine import FakeEngine
from tests.httpd.served import served
from tokend.api.openapi import description
from tokend.httpd.problem import PROBLEM_TYPE
from tokend.plugin.settings_base import parse_duration


def test_no_status_is_left_to_guessing() -> None:
    """No `default`: each operation lists what it can answer, and every problem has its own response."""
    for loopback in (False, True):
        document = description(loopback=loopback)
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                statuses = operation["responses"].keys()
                assert {"400", "403", "413", "431", "500"} <= statuses, path
                assert all(status.isdigit() for status in statuses), path
                assert ("401" in statuses) == (loopback and path not in ("/livez", "/readyz")), path
                assert ("415" in statuses) == (method == "post"), path
        for response in document["components"]["responses"].values():
            assert list(response["content"]) == [PROBLEM_TYPE]


def test_the_document_is_openapi_3_1_and_the_ports_asks_for_its_secret() -> None:
    """Only the port's: a client made from the socket's document would look for a secret that is not there."""
    socket, port = description(loopback=False), description(loopback=True)
    assert socket["openapi"] == port["openapi"] == "3.1.0"
    assert "security" not in socket
    assert "securitySchemes" not in socket["components"]
    (scheme,) = port["components"]["securitySchemes"]
    assert port["security"] == [{scheme: []}]
    assert port["paths"]["/livez"]["get"]["security"] == port["paths"]["/readyz"]["get"]["security"] == []
    assert "security" not in port["paths"]["/v1/tokens"]["get"]
    json.dumps(port)


@pytest.mark.parametrize("text", ["1s", "500ms", "99999999999ms", "99999999s", "999999m", "9999h", "999d"])
def test_durations_that_the_document_allows_are_taken(text: str) -> None:
    """And what it does not is nonsense, or a decade."""
    parameters = description(loopback=False)["paths"][NAMED]["get"]["parameters"]
    (schema,) = [parameter["schema"] for parameter in parameters if parameter["name"] == "min_ttl"]
    described = Draft202012Validator(schema)
    assert described.is_valid(text)
    assert parse_duration(text)
    for wrong in ("", "5", "0s", "1 s", "s", "1w", "-1s", "1.5s", "١s"):
        assert not described.is_valid(wrong)


def test_a_hidden_token_is_described_like_one_that_is_not_there(tmp_path: Path) -> None:
    """The document is the same for everybody, and names no token."""
    engine = FakeEngine()
    engine.hold("obviously-secret-name")
    with served(tmp_path, engine) as running:
        assert b"obviously-secret-name" not in running.get("/openapi.json").body
