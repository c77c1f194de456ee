"""`tokend status`: readiness, reasons, and the state of each token."""

import json
from typing import Any

import pytest

from tests.cli.running import Running, lines, tokend
from tests.client.fake_daemon import answering, http


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


def test_status_shows_what_is_not_required() -> None:
    """A token or a sink with `required = false` is marked, and is no reason for not being ready."""
    sink: dict[str, Any] = {
        "kind": "raw", "target": "/a", "path": "/a", "state": "failing", "last_success_at": None, "error": "no space",
        "required": False,
    }  # fmt: skip
    target = "vault:secret/app#token"
    store: dict[str, Any] = {
        **sink, "kind": "vault", "label": "vault-2", "target": target, "path": None, "state": "rejected",
        "error": f"{target}: the store answered 403",
    }  # fmt: skip
    row: dict[str, Any] = {
        "name": "spare", "kind": "jwt", "state": "expired", "valid": False, "expires_at": None, "refresh_at": None,
        "generation": None, "fingerprint": None, "required": False, "seconds_left": None, "failures": 0,
        "last_error": None, "next_attempt_at": None, "sinks": [],
    }  # fmt: skip
    main = {**row, "name": "main", "state": "valid", "valid": True, "required": True, "sinks": [sink, store]}
    wallet = {**row, "name": "wallet", "state": "on_demand"}
    login: dict[str, Any] = {
        "state": "required",
        "subject": None,
        "obtained_at": None,
        "ends_at": None,
        "scopes_missing": [],
    }
    schwab = {**row, "name": "schwab", "state": "login_required", "login": {**login, "command": "tokend login schwab"}}
    config = {"loaded_at": "2025-01-01T00:00:00Z", "error": None}
    answer = {"version": 1, "ready": False, "config": config, "tokens": [main, row, wallet, schwab]}
    with answering(http(json.dumps(answer).encode())) as server:
        shown = tokend("status", TOKEND_SOCKET=server.path).out
    assert lines(shown)[0] == "tokend is not ready: something that you may not see is missing"
    assert "spare (jwt): expired (required = false)\n" in shown
    assert "main (jwt): valid\n" in shown
    assert "/a, failing: no space (required = false)" in shown
    assert "  vault-2  vault:secret/app#token, rejected: the store answered 403 (required = false)\n" in shown
    assert "wallet (jwt): on_demand\n" in shown
    assert "schwab (jwt): login_required (required = false)\n" in shown
    assert "  login    required: tokend login schwab\n" in shown
    assert "  next     no attempt until a person logs in: tokend login schwab\n" in shown
