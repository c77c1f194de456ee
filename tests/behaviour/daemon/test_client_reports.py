"""A client that reports a refused token: what status, metrics, log and `tokend status` show of it."""

import os
import re

from tests.daemon.harness import Home, metric, until
from tests.daemon.tables import PARTNER, PX


def test_a_reported_token_leaves_a_trace(home: Home) -> None:
    """The state stays valid; a jwt that was reported each time has a secret that may be wrong, a login has not."""
    daemon = home.start(PARTNER, PX).settled()
    assert daemon.row("partner")["reports"] == {"count": 0, "last_at": None, "reason": None, "uid": None}
    for name in ("partner", "px"):
        generation = daemon.lease(name)["generation"]
        body = {"if_generation": generation, "reason": "unauthorized"}
        assert daemon.ask("POST", f"/v1/tokens/{name}/refresh", body).status == 200
        reports = daemon.row(name)["reports"]
        assert (reports["count"], reports["reason"], reports["uid"]) == (1, "unauthorized", os.geteuid())
        assert reports["last_at"].endswith("Z")
        until(lambda name=name: daemon.row(name)["state"] == "valid", "state")  # type: ignore[misc]  # bound now
        assert metric(daemon, f'tokend_token_reports_total{{reason="unauthorized",token="{name}"}}') == 1
        assert f"token={name}" in "".join(daemon.log("token.reported"))
    lines = {
        name: [line for line in daemon.log("token.reported") if f"token={name}" in line] for name in ("partner", "px")
    }
    assert [len(found) for found in lines.values()] == [1, 1]
    assert "the secret may be wrong" in lines["partner"][0]
    assert "secret" not in lines["px"][0]
    # Another one, of the token that came instead.
    body = {"if_generation": daemon.lease("partner")["generation"], "reason": "unauthorized"}
    daemon.ask("POST", "/v1/tokens/partner/refresh", body)
    assert "the secret may be wrong" in str(daemon.row("partner")["warnings"])
    assert "the secret may be wrong" not in str(daemon.row("px")["warnings"])
    shown = home.run("status", "partner").stdout
    said = r"reports  refused by the upstream, 2 times as clients say, last \d+ s ago, by uid (\d+) \(unauthorized\)"
    match = re.search(said, shown)
    assert match is not None
    assert int(match[1]) == os.geteuid()
    assert "the secret may be wrong" in shown
    assert len([line for line in daemon.log("token.reported") if "token=partner" in line]) == 1  # one a minute


def test_a_person_who_refreshes_reports_nothing(home: Home) -> None:
    """`tokend refresh` and `get --refresh` are wishes."""
    daemon = home.start(PX).settled()
    home.run("refresh", "px")
    home.run("get", "px", "--refresh")
    assert daemon.row("px")["reports"]["count"] == 0
    assert not daemon.log("token.reported")
