"""The clock of the sandbox."""

import time
from email.utils import parsedate_to_datetime

import pytest

from tests.sandbox.player import Play
from tests.sandbox.test_faults import login


def test_the_clock_can_be_shifted_at_the_start_and_while_it_runs(play: Play) -> None:
    """Date and the sandbox's own time move together."""
    player = play(clock_skew=-7200.0)
    assert parsedate_to_datetime(login(player).headers["date"]).timestamp() == pytest.approx(time.time() - 7200, abs=20)
    assert player.control("clock", {"skew": 3600}).status == 200
    assert parsedate_to_datetime(login(player).headers["date"]).timestamp() == pytest.approx(time.time() + 3600, abs=20)
    assert player.control("clock", {"skew": "1h"}).status == 400
