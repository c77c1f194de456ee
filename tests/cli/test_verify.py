"""`tokend verify`: a sentence and an exit code, without network."""

import json

import pytest

from tests.cli.running import Running


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
def test_verify_shows_by_sentence_and_exit_code(running: Running, name: str, code: int, said: str) -> None:
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


@pytest.mark.parametrize(("name", "code", "state"), [("tt", 0, "valid"), ("refused", 4, "rejected")])
def test_verify_prints_json_with_the_same_exit_code(running: Running, name: str, code: int, state: str) -> None:
    """`-o json`: state, expiry, seconds left, and the last error; what cannot be verified is an error."""
    running.becomes("refused", "rejected")
    done = running.tokend("verify", name, "-o", "json")
    found = json.loads(done.out)
    assert (done.code, done.err, found["version"]) == (code, "", 1)
    assert (found["name"], found["state"], found["valid"]) == (name, state, code == 0)
    row = running.row(name)
    assert {key: found[key] for key in ("expires_at", "generation", "fingerprint")} == {
        key: row[key] for key in ("expires_at", "generation", "fingerprint")
    }
    assert (found["seconds_left"] or 0) > 0 if code == 0 else found["seconds_left"] is None
    assert (found["last_error"] is None) == (code == 0)


@pytest.mark.parametrize(("name", "code"), [("nosuch", 5), ("wallet", 2)])
def test_nothing_is_printed_for_what_cannot_be_verified(running: Running, name: str, code: int) -> None:
    """Also with `-o json`: the exit code, and a sentence on stderr."""
    done = running.tokend("verify", name, "-o", "json")
    assert (done.code, done.out) == (code, "")
    assert done.err
