"""`tokend verify`: a sentence and an exit code, without network."""

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
