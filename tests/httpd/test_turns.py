"""Turns: all that wait come, in order, and the loop serves others between."""

import asyncio
from functools import partial
from itertools import pairwise

import uvloop

from tokend.httpd.turns import TURNS_AT_ONCE, Turns


def test_some_turns_are_given_between_two_looks_at_all_sockets() -> None:
    """However many wait."""

    async def scenario() -> None:
        turns = Turns()
        given: list[int] = []
        looks: list[int] = []
        count = TURNS_AT_ONCE * 4 + 1
        for number in range(count):
            turns.take(partial(given.append, number))
        while len(given) < count:
            await asyncio.sleep(0)
            looks.append(len(given))
        assert given == list(range(count))
        assert max(after - before for before, after in pairwise([0, *looks])) <= TURNS_AT_ONCE
        turns.take(partial(given.append, -1))
        await asyncio.sleep(0)
        assert given[-1] == -1

    uvloop.run(scenario())
