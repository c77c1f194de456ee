"""`tokend reload`: the plan, its application, and a refused configuration."""

import json

from tests.cli.one_provider import CONFIG
from tests.cli.running import Running, lines, write_config

TWO = """
[providers.two]
kind = "jwt"
secret = {{ file = "secrets/partner" }}
claims = {{ clientId = "two" }}
"""


def test_reload_prints_the_plan_and_applies_it(own: Running) -> None:
    """`--dry-run` only prints; without it the plan is in force when the command ends."""
    assert own.tokend("reload").out == "nothing changed\n"
    assert own.tokend("reload", "--dry-run").out == "nothing would change\n"
    write_config(own.directory, CONFIG + TWO)
    assert lines(own.tokend("reload", "--dry-run").out) in (["add      two"], ["nothing would change"])
    assert own.tokend("reload").code == 0  # the file watch may have been quicker
    assert own.row("two")["kind"] == "jwt"


def test_a_refused_reload_is_2_and_shows_every_error(own: Running) -> None:
    """Each error with its place on stderr, exit code 2, everything goes on as before; `status` shows it too."""
    write_config(own.directory, CONFIG.replace('"15m"', "15") + "oops = 1\n")
    done = own.tokend("reload")
    assert (done.code, done.out) == (2, "")
    places = [line for line in lines(done.err) if line.startswith(f"{own.config}:")]
    assert len(places) == 2
    assert "oops" in done.err
    assert lines(done.err)[-1] == "tokend: the configuration was refused; everything goes on as before"
    assert own.row("one")["valid"]
    said = own.tokend("status").out
    assert "a newer one was refused:" in said
    assert all(place in said for place in places)


def test_reload_prints_json_for_programs(own: Running) -> None:
    """`-o json`: the plan, or the errors with exit code 2."""
    assert json.loads(own.tokend("reload", "--dry-run", "-o", "json").out)["plan"] == []
    write_config(own.directory, CONFIG.replace('"15m"', "15"))
    done = own.tokend("reload", "-o", "json")
    assert done.code == 2
    (error,) = json.loads(done.out)["errors"]
    assert (error["file"], set(error)) == (str(own.config), {"file", "line", "column", "message"})
