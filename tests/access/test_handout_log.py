"""Audit lines of hand-outs: one at once, the others of a second in one line with their number."""

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import anyio.lowlevel
import structlog

from tests.access.test_units import Answering, failing
from tests.httpd.served import logged
from tests.virtual import VirtualClock, run_virtually
from tokend.access.handout_log import HandoutLog
from tokend.access.peer import NOBODY, Peer
from tokend.machine.counted_log import CountedLog

BOT = Peer(1001, frozenset())


def fields(lines: list[Any]) -> list[tuple[Any, ...]]:
    """What a reader of the log wants: uid, token, generation, way, number, unit."""
    assert {line["event"] for line in lines} <= {"token.handed_out"}
    return [
        (line["uid"], line["token"], line["generation"], line["way"], line["count"], line["unit"]) for line in lines
    ]


@asynccontextmanager
async def handouts(clock: VirtualClock, *, on: bool = True) -> AsyncIterator[HandoutLog]:
    """A log until the block ends: that is the end of the daemon."""
    async with anyio.create_task_group() as tasks:
        yield HandoutLog(CountedLog(tasks, clock, most_keys=None), on=on)
        await anyio.lowlevel.checkpoint()  # the tasks of the last lines have begun
        tasks.cancel_scope.cancel()


def in_unit(unit: str) -> Peer:
    peer = Peer(1002, frozenset())
    peer.__dict__["unit"] = unit
    return peer


def test_the_first_hand_out_is_logged_at_once_and_the_others_once_a_second() -> None:
    """With their number, the newest generation and every way; per uid and token; and none is lost."""
    found: list[Any] = []

    async def main(clock: VirtualClock) -> None:
        async with handouts(clock) as log:
            log.record(BOT, "a", 7, "get json")
            log.record(in_unit("bot.service"), "a", 7, "get text")
            log.record(BOT, "b", None, "issue json")
            assert len(found) == 3
            for generation, way in ((7, "get json"), (8, "refresh json"), (8, "get json")):
                log.record(BOT, "a", generation, way)
            assert len(found) == 3
            await anyio.sleep(1.1)
            assert len(found) == 4
            log.record(BOT, "a", 9, "get json")  # within a second of that line
            assert len(found) == 4
            await anyio.sleep(1)
            assert len(found) == 5
            await anyio.sleep(2)
            log.record(BOT, "a", 9, "get json")

    with logged() as lines:
        found = lines
        run_virtually(main)
    assert fields(lines) == [
        (1001, "a", 7, "get json", 1, None),
        (1002, "a", 7, "get text", 1, "bot.service"),
        (1001, "b", None, "issue json", 1, None),
        (1001, "a", 8, "get json,refresh json", 3, None),
        (1001, "a", 9, "get json", 1, None),
        (1001, "a", 9, "get json", 1, None),
    ]


def test_the_units_that_systemd_asks_for_are_all_named() -> None:
    """PID 1 loads the credentials of many units within a second."""

    async def main(clock: VirtualClock) -> None:
        async with handouts(clock) as log:
            for unit in ("a.service", "b.service", "c.service", "b.service"):
                log.record(Peer(0, frozenset()), "t", 1, "credentials.sock", unit=unit)
            await anyio.sleep(1.1)

    with logged() as lines:
        run_virtually(main)
    assert [line[4:] for line in fields(lines)] == [(1, "a.service"), (3, "b.service,c.service")]


def test_a_peer_whose_unit_is_not_known_has_none_and_the_loopback_port_no_uid() -> None:
    """Before Linux 6.5, and over TCP."""

    async def main(clock: VirtualClock) -> None:
        async with handouts(clock) as log:
            connection = cast("socket.SocketType", Answering(failing(errno.ENOPROTOOPT)))
            log.record(Peer(5, frozenset(), connection), "t", 1, "get json")
            log.record(NOBODY, "t", 1, "get json over loopback")

    with logged() as lines:
        run_virtually(main)
    assert [(line[0], line[5]) for line in fields(lines)] == [(5, None), (None, None)]


def test_off_nothing_is_logged_and_what_is_pending_is_not_lost() -> None:
    """A reload switches it; the end of the daemon is the end of the second."""

    async def main(clock: VirtualClock) -> None:
        async with handouts(clock, on=False) as log:
            log.record(BOT, "t", 1, "get json")
            log.switch(True)
            for _ in range(5):
                log.record(BOT, "t", 2, "get json")
            log.record(BOT, "u", 2, "get json")
            log.switch(False)
            log.record(BOT, "t", 3, "get json")
            log.switch(True)
            log.record(BOT, "t", 4, "get json")

    with logged() as lines:
        run_virtually(main)
    assert [line[1:3] + line[4:5] for line in fields(lines)] == [("t", 2, 1), ("u", 2, 1), ("t", 2, 4), ("t", 4, 1)]


def test_the_lines_do_not_depend_on_the_level_of_the_log() -> None:
    """They were asked for by a key of their own."""

    async def main(clock: VirtualClock) -> None:
        async with handouts(clock) as log:
            log.record(BOT, "t", 1, "get json")
        structlog.get_logger().warning("not.shown")

    with logged() as lines:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
        run_virtually(main)
    assert [line["event"] for line in lines] == ["token.handed_out"]
