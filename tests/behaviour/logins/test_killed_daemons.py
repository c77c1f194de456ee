"""Real daemons that are killed in the middle of refreshes; the server's log is the witness.

`tests/simulation/test_logins.py` has thousands of refreshes; here the processes, the disk and the sockets are real.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.logins.killed import LOGINS, Daemons, daemons
from tests.cli.running import short_directory


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short, for a socket."""
    with short_directory() as made:
        yield made


def killed_after_the_rotation(made: Daemons) -> None:
    """The server has executed every refresh, and no answer has arrived; then the daemon is started again."""
    made.meet("slow", executed=True, delay=60.0)
    made.begin()
    made.all_are_executed()
    made.end(signal.SIGKILL)
    made.meet(None)
    made.begin()


def test_killed_before_the_answer_a_grace_gives_the_successor_again(directory: Path) -> None:
    """SIGKILL after the rotation. Five seconds later something harmless is asked, and then the same is sent again."""
    with daemons(directory, oauth2_rotation="grace") as made:
        killed_after_the_rotation(made)
        made.become("valid")
        assert made.ended() == []
        exchanges = made.exchanges()
        assert [one["refresh_token"] for one in exchanges] == [0] * 2 * LOGINS
        assert {one["new_refresh_token"] for one in exchanges} == {1}
        for grant in {one["grant"] for one in exchanges}:
            first, second = (one["at"] for one in exchanges if one["grant"] == grant)
            assert second - first >= 5.0
        assert made.harmless() >= LOGINS


def test_killed_before_the_rotation_no_login_is_lost_at_a_strict_server(directory: Path) -> None:
    """The server had not executed the requests: the repeats are their first use."""
    with daemons(directory, oauth2_rotation="strict") as made:
        made.meet("hang")
        made.begin()
        made.all_wait()
        made.end(signal.SIGKILL)
        made.meet(None)
        made.begin()
        made.become("valid")
        assert made.ended() == []
        assert [(one["refresh_token"], one["reuse"]) for one in made.exchanges()] == [(0, False)] * LOGINS


def test_killed_after_the_rotation_a_strict_server_sees_one_reuse_and_a_person_is_asked(directory: Path) -> None:
    """Nothing on this side could save these logins; nothing is sent again and again."""
    with daemons(directory, oauth2_rotation="strict") as made:
        killed_after_the_rotation(made)
        made.become("login_required")
        assert made.ended() == ["reuse"] * LOGINS
        assert sum(one["reuse"] for one in made.exchanges()) == LOGINS
        assert "fake-first" not in made.log()


def test_a_daemon_that_is_stopped_waits_for_the_answers(directory: Path) -> None:
    """SIGTERM in the middle: the new refresh tokens are saved, and the next daemon begins with them."""
    with daemons(directory, oauth2_rotation="strict") as made:
        made.meet("slow", executed=True, delay=2.0)
        made.begin()
        made.all_are_executed()
        assert made.end(signal.SIGTERM) == 0
        made.meet(None)
        made.begin()
        made.become("valid")
        assert [one["refresh_token"] for one in made.exchanges()] == [0] * LOGINS
        for name in made.names:
            made.running.client.refresh(name)
        assert [one["refresh_token"] for one in made.exchanges()] == [0] * LOGINS + [1] * LOGINS
        assert made.ended() == []
