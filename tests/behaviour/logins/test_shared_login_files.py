"""Two daemons that share a login by `login_file`; the server's log is the witness."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.behaviour.logins.killed import Daemons
from tests.behaviour.logins.opened_file import watched
from tests.cli.running import eventually, short_directory
from tokend.client import TokendError
from tokend.sandbox import Options, start

NAME = "shared"


@contextmanager
def two(**options: Any) -> Iterator[tuple[Daemons, Daemons]]:
    """Two daemons, not started, with a state directory each and one login file."""
    with short_directory() as base, start(Options(**options)) as sandbox:
        places = [base / "a", base / "b"]
        made: list[Daemons] = []
        for place in places:
            place.mkdir(mode=0o700)
            one = Daemons(place, sandbox, names=[NAME])
            one.configure(grant=not made, more=f'login_file = "{base}/login.json"\n')
            made.append(one)
        base.chmod(0o700)
        try:
            yield made[0], made[1]
        finally:
            made[0].meet(None)
            for one in made:
                if one.process is not None and one.process.poll() is None:
                    one.end(signal.SIGKILL)


def same_token(first: Daemons, second: Daemons) -> bool:
    """Whether both serve the same token now."""
    try:
        return first.running.client.get(NAME).access_token == second.running.client.get(NAME).access_token
    except TokendError:  # three seconds are little on a busy machine
        return False


def test_two_daemons_refresh_one_login_in_turn() -> None:
    """Tokens of three seconds: each refresh token is sent once, no two requests at once, and both serve the same."""
    with two(oauth2_rotation="strict", oauth2_ttl=3.0, latency=0.05) as (first, second):
        first.begin()
        second.begin()
        first.become("valid")
        second.become("valid")
        assert eventually(lambda: len(first.exchanges()) >= 4), first.log() + second.log()
        assert eventually(lambda: same_token(first, second))
        exchanges = first.exchanges()
        assert [one["refresh_token"] for one in exchanges] == list(range(len(exchanges)))
        assert first.ended() == []
        assert first.sandbox.stage.journal.report("oauth2")["most_open"]["oauth2"] == 1


def test_one_is_killed_with_the_lock_and_the_other_goes_on() -> None:
    """The journal is in the file: five seconds later the other asks something harmless, and repeats the exchange."""
    with two(oauth2_rotation="grace") as (first, second):
        first.meet("slow", executed=True, delay=60.0, count=1)
        first.begin()
        assert eventually(lambda: len(first.exchanges()) == 1), first.log()
        second.begin()
        assert eventually(lambda: second.states() != [])
        killed = time.monotonic()
        first.end(signal.SIGKILL)
        second.become("valid")
        assert time.monotonic() - killed >= 4.5
        assert [one["refresh_token"] for one in first.exchanges()] == [0, 0]
        assert second.ended() == []
        assert second.harmless() >= 1
        first.begin()
        first.become("valid")
        assert same_token(first, second)
        assert len(first.exchanges()) == 2


def test_a_daemon_waits_for_the_exchange_of_another_and_sends_nothing() -> None:
    """The lock is held over the whole exchange; who waited adopts the token."""
    with two(oauth2_rotation="strict") as (first, second):
        first.meet("slow", executed=True, delay=60.0)
        first.begin()
        assert eventually(lambda: len(first.exchanges()) == 1), first.log()
        with watched(first.directory.parent / "login.json.lock") as lock:
            second.begin()
            assert eventually(lambda: lock.count() > 1), second.log()
        # For longer than the pause before a repeat: without the lock, the journal in the file would look abandoned.
        tried = time.monotonic()
        assert eventually(lambda: len(first.exchanges()) > 1 or time.monotonic() > tried + 7.0)
        first.meet(None)
        first.become("valid")
        second.become("valid")
        assert [one["refresh_token"] for one in first.exchanges()] == [0]
        assert same_token(first, second)
