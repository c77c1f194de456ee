"""A vendor's file of the administrator in the real daemon: changes are noticed, and errors change nothing."""

import base64
import json

from tests.daemon.harness import Home, until
from tests.daemon.tables import PX

ACME = """
title = "Acme"
[provider]
kind = "jwt"
ttl = "15m"
claims = { clientId = "one" }
"""
MINE = """
[providers.acme]
vendor = "acme"
secret = {{ file = "s/partner" }}
"""


def client(token: str) -> str:
    """Return the claim that the vendor's file gives."""
    part = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["clientId"])


def test_a_change_of_a_vendor_s_file_is_noticed(home: Home) -> None:
    """Within the time for any file of the configuration; the other provider notices nothing."""
    (home.path / "vendors").mkdir()
    file = home.path / "vendors" / "acme.toml"
    home.save(file, ACME)
    daemon = home.start(PX, MINE).settled()
    assert client(daemon.lease("acme")["access_token"]) == "one"
    home.save(file, ACME.replace('"one"', '"two"'))
    until(lambda: client(daemon.lease("acme")["access_token"]) == "two", "the vendor's new claim", seconds=10)
    assert home.requests("projectx") == 1


def test_an_error_in_a_vendor_s_file_leaves_the_configuration_in_force(home: Home) -> None:
    """`tokend reload` names the file and the line."""
    (home.path / "vendors").mkdir()
    file = home.path / "vendors" / "acme.toml"
    home.save(file, ACME)
    daemon = home.start(MINE).settled()
    before = daemon.lease("acme")
    home.save(file, ACME.replace("title", "titel"))
    done = home.run("reload")
    assert done.returncode == 2
    assert f'{file}:2:1: unknown key "titel"' in done.stderr + done.stdout
    assert daemon.lease("acme") == before


def test_a_start_goes_on_without_a_broken_vendor_s_file_and_its_correction_is_noticed(home: Home) -> None:
    """The daemon is not ready until then."""
    (home.path / "vendors").mkdir()
    file = home.path / "vendors" / "acme.toml"
    home.save(file, ACME.replace("title", "titel"))
    daemon = home.start(PX, MINE)
    until(lambda: daemon.lease("px"), "the other provider")
    until(lambda: [one["token"] for one in daemon.get("/readyz").json["reasons"]] == ["acme"], "the only reason")
    [reason] = daemon.get("/readyz").json["reasons"]
    assert reason["detail"] == "its kind, that of one of its sinks, or its vendor cannot be used"
    until(lambda: any(f"{file}:2:1" in line for line in daemon.log("config.warning")), "the warning")
    file.write_text(ACME)  # in place
    until(lambda: client(daemon.lease("acme")["access_token"]) == "one", "its token, without a word")
    daemon.settled()
