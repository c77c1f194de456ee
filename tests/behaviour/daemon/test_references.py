"""Secrets that are another provider's token, in a real daemon: waiting, and the first attempt."""

import base64
import hashlib
import hmac

from tests.daemon.harness import Home, until
from tests.daemon.tables import PARTNER, PX
from tokend.sandbox.faults import Behaviour

SIGNED = PARTNER.replace('{{ file = "s/partner" }}', '{{ token = "px" }}')


def signs(jwt: str, secret: str) -> bool:
    """Whether a JWT is signed with this secret."""
    signed, _, signature = jwt.rpartition(".")
    own = base64.urlsafe_b64encode(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))
    return own.decode().rstrip("=") == signature


def test_a_provider_waits_for_the_token_that_is_its_secret(home: Home) -> None:
    """No attempt and no failure before it is there, and the first attempt at once then."""
    home.sandbox.stage.faults.set("projectx", Behaviour("error", code=503))
    daemon = home.start(PX, SIGNED)
    until(lambda: daemon.row("px")["failures"], "the first failure")
    row = until(lambda: (found := daemon.row("partner"))["last_error"] and found, "the reason")
    assert (row["state"], row["failures"], row["last_error"]["class"]) == ("pending", 0, "waiting")
    assert row["last_error"]["detail"] == "waits for px, which has no valid token now"
    checked = home.run("check", str(home.config))
    assert (checked.returncode, "token" in checked.stdout + checked.stderr) == (0, False)
    got = home.run("get", "partner")
    assert got.returncode == 7
    home.sandbox.stage.faults.set("projectx", None)
    until(lambda: daemon.row("partner")["valid"], "a token")
    first = daemon.lease("px")["access_token"]
    assert signs(daemon.lease("partner")["access_token"], first)
    until(lambda: home.out("partner.jwt").exists(), "the file")
    assert first not in home.log.read_text()


def test_a_circle_is_refused_by_check_and_by_a_reload(home: Home) -> None:
    """With the place; the daemon goes on as before."""
    daemon = home.start(PX, PARTNER)
    px = PX.replace('{{ file = "s/px-key" }}', '{{ token = "partner" }}')
    home.write(px, SIGNED)
    for ended in (home.run("check", str(home.config)), home.run("reload")):
        assert ended.returncode == 2
        assert "px → partner → px" in ended.stderr
        assert f"{home.config}:" in ended.stderr
    assert daemon.row("partner")["state"] in {"valid", "pending"}
