"""Requests of one login to the daemon."""

import pytest

from tests.cli.login.logging_in import Logging
from tokend.cli.login.requests import LoginRequests
from tokend.client import NotRunningError, TokenClient, UnknownTokenError


def test_a_login_is_begun_looked_at_finished_and_cancelled(logins: Logging) -> None:
    """Each request names the login that was begun."""
    requests = LoginRequests(TokenClient(str(logins.server.path)), "demo", other_account=False)
    requests.cancel()  # nothing was begun: nothing is sent
    assert logins.server.engine.logins.session is None
    assert requests.begin("browser", "http://127.0.0.1:8400/")["flow"] == "browser"
    assert requests.look()["state"] == "pending"
    assert requests.finish("http://127.0.0.1:8400/?code=fake&state=fake")["state"] == "done"
    requests.cancel()
    assert requests.look()["state"] == "failed"


def test_an_account_is_confirmed(logins: Logging) -> None:
    """By the login that was begun."""
    logins.server.engine.logins.returns_state = False
    requests = LoginRequests(TokenClient(str(logins.server.path)), "demo", other_account=False)
    requests.begin("browser", None)
    assert requests.finish("http://127.0.0.1/?code=fake")["awaits_confirmation"] is True
    assert requests.confirm()["state"] == "done"


def test_a_daemon_that_forgot_the_login_is_no_unknown_token(logins: Logging) -> None:
    """It was started again meanwhile."""
    requests = LoginRequests(TokenClient(str(logins.server.path)), "demo", other_account=True)
    requests.begin("device", None)
    logins.server.engine.logins.session = None
    with pytest.raises(NotRunningError, match="begin again"):
        requests.look()
    with pytest.raises(UnknownTokenError):
        LoginRequests(TokenClient(str(logins.server.path)), "nosuch", other_account=False).begin("device", None)
