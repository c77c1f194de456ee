"""`tokend list`: a line per token."""

from tests.cli.running import Running, lines


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
