"""`tokend forget`: a compromised token is dropped and replaced."""

import json

from tests.cli.running import Running


def test_forget_drops_the_token_and_logs_in_again(own: Running) -> None:
    """Another token follows; an unknown token is exit code 5."""
    before = own.client.get("one")
    done = own.tokend("forget", "one")
    assert (done.code, done.out) == (0, "one: forgotten; a new login follows\n")
    assert (own.becomes("one", "valid")["generation"] or 0) > (before.generation or 0)
    assert own.tokend("forget", "nosuch").code == 5


def test_an_on_demand_token_cannot_be_forgotten(running: Running) -> None:
    """Nothing of it is kept: exit code 2."""
    assert running.tokend("forget", "wallet").code == 2


def test_forget_prints_json_for_programs(own: Running) -> None:
    """`-o json`: the name."""
    assert json.loads(own.tokend("forget", "one", "-o", "json").out) == {"version": 1, "name": "one"}
