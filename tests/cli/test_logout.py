"""`tokend logout`: what it says, and its exit codes."""

import json
from pathlib import Path

from tests.cli.login.logging_in import logging_in
from tests.cli.running import tokend
from tokend.engine.context.contract import LogoutAnswer


def test_a_logout_is_0_only_if_nothing_is_left_of_the_login(tmp_path: Path) -> None:
    """1 while its server has not confirmed; with --force nothing is left here."""
    with logging_in(tmp_path) as logins:
        fake, place = logins.server.engine.logins, str(logins.server.path)
        done = tokend("logout", "demo", TOKEND_SOCKET=place)
        assert (done.code, done.out, done.err) == (0, "demo: logged out\n", "")
        text = "login.example did not confirm: still valid there (timeout)"
        fake.answer = LogoutAnswer(confirmed=False, dropped=False, detail=text)
        done = tokend("logout", "demo", TOKEND_SOCKET=place)
        assert (done.code, done.out, done.err) == (1, "", f"tokend: {text}\n")
        done = tokend("logout", "demo", "-o", "json", TOKEND_SOCKET=place)
        assert (done.code, json.loads(done.out)["detail"], done.err) == (1, text, "")
        fake.answer = LogoutAnswer(confirmed=False, dropped=True, detail=text)
        done = tokend("logout", "demo", "--force", TOKEND_SOCKET=place)
        assert (done.code, done.out, done.err) == (0, "demo: logged out here\n", f"tokend: {text}\n")
        forces = [call[2] for call in logins.server.engine.calls]
        assert forces == [False, False, False, True]
        assert tokend("logout", "nosuch", TOKEND_SOCKET=place).code == 5
        assert tokend("logout", "wallet", TOKEND_SOCKET=place).code == 2
