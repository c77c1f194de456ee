"""The report of an attempt: the request, the token without its value, the failure without a body."""

import json
from typing import Any

import pytest

from tests.cli.try_offline.test_attempt import GRANTED, LINKS, MACHINE, PERSON, PROJECTX, VISITOR, made, tried
from tokend.cli.try_offline.attempt import Tried
from tokend.cli.try_offline.report import print_json, print_text
from tokend.plugin.secret_source import SecretSource
from tokend.providers.projectx import ProjectX
from tokend.values.secret import Secret

LITERAL = "fake-literal-key"


def text(table: dict[str, Any], attempt: Tried, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the report for people."""
    print_text("one", made(table), attempt)
    return capsys.readouterr().out


def answer(table: dict[str, Any], attempt: Tried, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return the report as JSON."""
    print_json("one", made(table), attempt)
    return json.loads(capsys.readouterr().out)


def test_a_token_is_shown_by_its_length_and_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the token nor a refresh token is in any report."""
    attempt = tried(PERSON, GRANTED)
    shown = text(PERSON, attempt, capsys)
    assert "one (oauth2): a login is refreshed; nothing is sent\n" in shown
    assert "  request  POST https://login.example/token\n" in shown
    assert ": grant_type, refresh_token\n" in shown
    assert "token: 10 characters, Bearer\n" in shown
    assert ", 1 min after the request\n" in shown
    assert "  login    a new refresh token\n" in shown
    whole = answer(PERSON, attempt, capsys)
    assert (whole["version"], whole["way"], whole["outcome"], whole["exit_code"]) == (1, "refresh", "token", 0)
    assert whole["requests"][0]["headers"] == ["Accept", "Authorization", "Content-Type"]
    assert whole["requests"][0]["body"]["members"] == ["grant_type", "refresh_token"]
    assert (whole["token"]["characters"], whole["token"]["life_seconds"], whole["login"]) == (
        10,
        60.0,
        {"new_refresh_token": True, "ends_at": None, "has_subject": False, "scopes": None},
    )
    assert "fake-" not in shown + json.dumps(whole)


def test_a_failure_has_its_class_and_the_vendors_words(capsys: pytest.CaptureFixture[str]) -> None:
    """What looks like a secret in the words is hidden: the real one is not known here, so it cannot be masked."""
    random = "k9XqT4vLw2ZpR7mB8nC3dF6g"
    body = json.dumps({"error": "invalid_client", "error_description": f"key {random} is wrong\x1b[2J"}).encode()
    attempt = tried(MACHINE, body, status=401)
    shown = text(MACHINE, attempt, capsys)
    assert "\nrejected: login.example:443 answered 401: invalid_client" in shown
    assert "  said     key (not shown) is wrong[2J: invalid_client\n" in shown
    assert answer(MACHINE, attempt, capsys)["error"]["class"] == "rejected"
    assert random not in shown


def test_a_literal_secret_that_an_answer_echoes_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    """It stands in the configuration, and was not sent."""
    settings = ProjectX(username=SecretSource(env="A"), api_key=SecretSource(literal=Secret(LITERAL)))
    body = json.dumps({"success": False, "errorCode": 3, "errorMessage": f"no {LITERAL}"}).encode()
    print_text("one", settings, tried(PROJECTX, body))
    assert LITERAL not in capsys.readouterr().out


def test_lines_fit_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A long sentence goes on below its beginning."""
    shown = text(PERSON, tried(PERSON, b'{"error": "invalid_grant"}', status=400), capsys)
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[-1].startswith(" " * 11)


def test_what_has_no_answer_and_what_is_not_known_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """One more request, metadata that stand in, a bug, an attempt that did not begin."""
    shown = text(PROJECTX, tried(PROJECTX, b'{"success": false}', way="renew"), capsys)
    assert "no reply: one more request follows" in shown
    issuer = {**MACHINE, "token_url": None, "issuer": "https://login.example"}
    assert "metadata are not known here" in text(issuer, tried(issuer, GRANTED), capsys)
    attempt = tried(MACHINE, GRANTED)
    broken = Tried("fetch", attempt.stand_ins, attempt.at, bug="ValueError")
    shown = text(MACHINE, broken, capsys)
    assert "ended before its first request" in shown
    assert "bug: the kind's own code failed: ValueError" in shown


def test_further_members_are_named_and_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that grant access apart; an on-demand token is not kept."""
    data = {"token": "fake-token", "loginLink": "https://fake.example/x", "user": "fake-user"}
    attempt = tried(LINKS, json.dumps({"status": "success", "data": data}).encode(), given=VISITOR)
    shown = text(LINKS, attempt, capsys)
    assert "  extra    user\n  secret   loginLink\n" in shown
    assert "fake-" not in shown
    found = answer(LINKS, attempt, capsys)
    assert (found["token"]["extra"], found["token"]["secret_extra"]) == (["user"], ["loginLink"])


def test_endless_and_prolonged_tokens_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    """A token that was held may come back with a new end."""
    endless = {**MACHINE, "zero_means": "never"}
    shown = text(endless, tried(endless, b'{"access_token": "fake-token", "expires_in": 0}'), capsys)
    assert "  ends     never" in shown
