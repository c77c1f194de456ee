"""A login under way as a value: it keeps no secret after its end."""

from tests.engine.logins.personal import ALICE, ORIGIN
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.logins.login_session import LoginSession
from tokend.plugin.login import BrowserLogin
from tokend.values.logins import LoginClient
from tokend.values.secret import Secret


def test_a_session_that_has_ended_keeps_no_secret_and_none_shows_one() -> None:
    """Not in its repr either, while it goes on."""

    async def main(clock: VirtualClock) -> None:
        begun = BrowserLogin(ORIGIN, "http://127.0.0.1/", Secret("fake-state"), Secret("fake-verifier"))
        client = LoginClient("personal", ORIGIN, "fake-client")
        session = LoginSession("id", "one", ALICE, "browser", client, begun, clock.instant())
        assert session.is_pending
        assert "fake-verifier" not in repr(session)
        session.end("done", subject="alice")
        assert (session.state, session.begun, session.subject, session.is_pending) == ("done", None, "alice", False)
        assert session.ended.is_set()

    run_virtually(main)
