"""`tokend list`, `status` and `verify`: how everything stands, and never a token."""

import json

import pytest

from tests.cli.running import SOMEBODY, Running, as_root, lines, tokend_as

HELD = ("topstepx", "tt", "partner")


def test_list_shows_every_token_by_name(running: Running) -> None:
    """A line per token under a head: name, kind, state, what is left, generation, fingerprint."""
    running.becomes("refused", "rejected")
    head, *rows = lines(running.tokend("list").out)
    assert head.split() == ["NAME", "KIND", "STATE", "LEFT", "GENERATION", "FINGERPRINT"]
    cells = {row.split()[0]: row.split() for row in rows}
    assert sorted(cells) == list(cells)
    assert cells["login-links"] == ["login-links", "auth-token", "on_demand", "-", "-", "-"]
    assert cells["refused"][:4] == ["refused", "projectx", "rejected", "-"]
    assert cells["partner"][1:3] == ["jwt", "valid"]
    assert cells["partner"][-1] == running.row("partner")["fingerprint"]


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


def test_status_says_what_is_missing_and_what_happens_next(running: Running) -> None:
    """The first line says whether all is well, and if not, what; each token says what is left and what comes next."""
    running.becomes("refused", "rejected")
    done = running.tokend("status")
    assert done.code == 0
    first, second, *_ = lines(done.out)
    assert first == "tokend is not ready: away has no valid token; refused has no valid token"
    assert second.startswith("configuration loaded ")
    blocks = {block.split()[0]: block for block in done.out.split("\n\n")[1:]}
    assert "refresh in " in blocks["tt"]
    assert f"generation {running.row('tt')['generation']}" in blocks["tt"]
    assert str(running.directory / "tt.json") in blocks["tt"]
    assert "attempt " in blocks["away"]


def test_status_of_a_rejected_token_says_why_and_who_must_act(running: Running) -> None:
    """The reason, that no timer retries, and what to do; exit code 4."""
    running.becomes("refused", "rejected")
    done = running.tokend("status", "refused")
    assert done.code == 4
    assert lines(done.out)[0] == "refused (projectx): rejected"
    assert "InvalidCredentials" in done.out
    assert "no attempt until a person acts: fix the credentials, or run `tokend refresh refused`" in done.out


@pytest.mark.parametrize(
    ("name", "code"), [("tt", 0), ("wallet", 0), ("refused", 4), ("nosuch", 5), ("a\x1bb", 5), ("away", 7)]
)
def test_the_exit_code_of_status_is_the_tokens_state(running: Running, name: str, code: int) -> None:
    """0 valid or on demand, 4 rejected, 5 unknown, 7 no valid token; in both forms."""
    running.becomes("refused", "rejected")
    for form in ((), ("-o", "json")):
        done = running.tokend("status", name, *form)
        assert done.code == code
        assert done.err.count("\n") == (1 if code == 5 else 0)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("tt", 0, "tt: valid, "),
        ("refused", 4, "refused: not valid, state rejected ("),
        ("away", 7, "away: not valid, state "),
        ("nosuch", 5, ""),
        ("wallet", 2, ""),
    ],
)
def test_verify_tells_by_sentence_and_exit_code(running: Running, name: str, code: int, said: str) -> None:
    """0 valid, 7 not valid, 4 a person must act, 5 unknown, 2 nothing to verify."""
    running.becomes("refused", "rejected")
    done = running.tokend("verify", name)
    assert done.code == code
    assert done.out.startswith(said)
    assert bool(done.err) is (said == "")


def test_verify_asks_no_upstream(running: Running) -> None:
    """No network: the generation and the failures stay as they were."""
    running.becomes("refused", "rejected")
    before = {name: (running.row(name)["generation"], running.row(name)["failures"]) for name in ("tt", "refused")}
    for name in before:
        running.tokend("verify", name)
    after = {name: (running.row(name)["generation"], running.row(name)["failures"]) for name in before}
    assert after == before


@as_root
def test_who_may_not_see_a_token_is_told_that_there_is_none(running: Running) -> None:
    """A token of others is an unknown one, in every command."""
    assert "private" not in tokend_as(SOMEBODY, "list", TOKEND_SOCKET=str(running.socket)).out
    for command in ("get", "header", "status", "verify", "refresh"):
        done = tokend_as(SOMEBODY, command, "private", TOKEND_SOCKET=str(running.socket))
        assert (done.code, done.out) == (5, ""), command
    assert tokend_as(SOMEBODY + 1, "get", "private", TOKEND_SOCKET=str(running.socket)).code == 0
