"""Rows of tokens, in every command that prints them: never a token, and the words for times."""

import json

import pytest

from tests.cli.running import SOMEBODY, Running, as_root, tokend_as
from tokend.cli.token_rows import describe_seconds, describe_time_left, needs_a_person

HELD = ("topstepx", "tt", "partner")


@pytest.mark.parametrize("arguments", [("list",), ("status",), ("status", "tt")])
def test_json_is_an_object_with_version_1(running: Running, arguments: tuple[str, ...]) -> None:
    """`-o json`: {"version": 1, "tokens": […]}."""
    answer = json.loads(running.tokend(*arguments, "-o", "json").out)
    assert answer["version"] == 1
    assert "tt" in {row["name"] for row in answer["tokens"]}
    assert len(answer["tokens"]) == (1 if "tt" in arguments else 8)


@pytest.mark.parametrize("arguments", [("list",), ("status",), ("verify", "tt"), ("refresh", "partner")])
def test_tokens_are_never_shown_only_fingerprints(running: Running, arguments: tuple[str, ...]) -> None:
    """Text and JSON: fingerprints, never tokens."""
    forms = [arguments] if arguments[0] == "verify" else [arguments, (*arguments, "-o", "json")]
    for form in forms:
        done = running.tokend(*form)
        for name in HELD:
            lease = running.client.get(name)
            assert lease.access_token not in done.out + done.err
        assert lease.fingerprint is not None
        assert running.row(arguments[1] if len(arguments) > 1 else "tt")["fingerprint"] in done.out


@as_root
def test_a_token_that_one_may_not_see_is_unknown(running: Running) -> None:
    """A token of others is an unknown one, in every command."""
    assert "private" not in tokend_as(SOMEBODY, "list", TOKEND_SOCKET=str(running.socket)).out
    for command in ("get", "header", "status", "verify", "refresh"):
        done = tokend_as(SOMEBODY, command, "private", TOKEND_SOCKET=str(running.socket))
        assert (done.code, done.out) == (5, ""), command
    assert tokend_as(SOMEBODY + 1, "get", "private", TOKEND_SOCKET=str(running.socket)).code == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.9, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min 59 s"), (3600, "1 h"), (3605, "1 h 5 s"),
        (86400 * 3 + 3600 * 4 + 60 * 5, "3 d 4 h"),
    ],
)  # fmt: skip
def test_a_duration_is_described_by_its_two_largest_units(seconds: float, words: str) -> None:
    """Units that are zero are left out; parts of a second are cut off."""
    assert describe_seconds(seconds) == words


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"valid": False, "expires_at": "2038-01-19T03:14:07Z", "seconds_left": 5.0}, "-"),
        ({"valid": True, "expires_at": None}, "no end"),
        ({"valid": True, "expires_at": "2038-01-19T03:14:07Z", "seconds_left": 65.2}, "1 min 5 s"),
        ({"valid": True, "expires_at": "2020-01-01T00:00:00Z"}, "0 s"),
    ],
)
def test_the_time_left_comes_from_the_daemon_or_from_the_expiry(row: dict[str, object], words: str) -> None:
    """The status counts by the daemon's clock; the list has the expiry only."""
    assert describe_time_left(row) == words


@pytest.mark.parametrize(("state", "person"), [("rejected", True), ("login_required", True), ("expired", False)])
def test_two_states_need_a_person(state: str, person: bool) -> None:
    """All other states end by themselves."""
    assert needs_a_person({"state": state}) is person
