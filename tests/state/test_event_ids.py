"""First event id of a run: above all earlier ones, whatever happened to clock and state."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.httpd.served import logged
from tokend.machine.thread_pool import ThreadPool
from tokend.state import event_ids
from tokend.state.event_ids import AHEAD, NAME, EventIds, microseconds, take

T = TypeVar("T")
NOW = datetime(2025, 1, 1, tzinfo=UTC)
MICROSECONDS = 1_735_689_600_000_000


def test_ids_begin_at_the_clock_where_nothing_is_known(tmp_path: Path) -> None:
    """So that they rise even where the state was lost; the file is for the owner alone, like all of the state."""
    assert take(tmp_path, NOW) == MICROSECONDS
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("step", [timedelta(0), timedelta(seconds=-1), timedelta(days=-9000), timedelta(days=9000)])
def test_each_run_begins_above_all_that_the_one_before_could_give(tmp_path: Path, step: timedelta) -> None:
    """Also where the clock stepped back meanwhile, to before anything was ever issued."""
    first = take(tmp_path, NOW)
    second = take(tmp_path, NOW + step)
    assert second >= first + AHEAD
    assert take(tmp_path, NOW + step) >= second + AHEAD


@pytest.mark.parametrize("content", [b"", b"x", b"-5", b"1e9", b"9" * 30, b"9" * 18, b"\xff\xfe", "²".encode()])
def test_a_damaged_file_is_warned_of_and_the_clock_counts(tmp_path: Path, content: bytes) -> None:
    """Never a crash loop (docs/promises.md 64)."""
    (tmp_path / NAME).write_bytes(content)
    with logged() as lines:
        assert take(tmp_path, NOW) == MICROSECONDS
        assert take(tmp_path, NOW) == MICROSECONDS + AHEAD
    (line,) = lines
    assert (line["log_level"], line["path"]) == ("warning", str(tmp_path / NAME))


def test_what_is_no_file_at_all_keeps_nobody_from_starting(tmp_path: Path) -> None:
    """A fifo is not waited for, a directory not written over; both are said."""
    os.mkfifo(tmp_path / NAME)
    with logged() as lines:
        assert take(tmp_path, NOW) == MICROSECONDS
        assert take(tmp_path / "missing", NOW) == MICROSECONDS
    assert [line["event"] for line in lines] == ["state.unreadable", "state.write_failed"]


def test_all_ids_fit_into_a_last_event_id() -> None:
    """18 digits, and exactly into a float, which JavaScript has for numbers."""
    assert microseconds(datetime(9999, 12, 31, tzinfo=UTC)) < event_ids.MOST
    assert microseconds(datetime(2200, 1, 1, tzinfo=UTC)) < 2**53
    assert microseconds(NOW) == MICROSECONDS


def reserved(directory: Path) -> int:
    return int((directory / NAME).read_text())


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await checkpoint()


def test_ids_are_reserved_ahead_while_events_happen_and_given_back_at_the_end(tmp_path: Path) -> None:
    """A crash at any moment finds more reserved than was used; an end finds exactly what was used."""

    async def run() -> None:
        threads = ThreadPool(1)
        threads.open()
        last = take(tmp_path, NOW)
        ids = EventIds(tmp_path, last, threads=threads)
        assert ids.last_before == MICROSECONDS
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ids.keep)
            ids.used(last + 1)
            await checkpoint()
            assert reserved(tmp_path) == last + AHEAD  # nothing is written for each event
            for number in (last + AHEAD // 2 + 1, last + 10 * AHEAD, last + 20 * AHEAD):
                ids.used(number)
                expected = number + AHEAD
                await until(lambda wanted=expected: reserved(tmp_path) == wanted)  # type: ignore[misc]  # bound now
            tasks.cancel_scope.cancel()
        assert reserved(tmp_path) == last + 20 * AHEAD
        assert take(tmp_path, NOW) == last + 20 * AHEAD

    anyio.run(run)


class HangingOnce:
    """Threads whose first call hangs."""

    def __init__(self) -> None:
        self.calls = 0

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        self.calls += 1
        if self.calls == 1:
            raise TimeoutError("the disk hangs")
        return call()


def test_a_disk_that_hangs_is_tried_again_at_the_next_event(tmp_path: Path) -> None:
    """Events go on meanwhile."""

    async def run() -> None:
        threads = HangingOnce()
        last = take(tmp_path, NOW)
        ids = EventIds(tmp_path, last, threads=threads)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ids.keep)
            ids.used(last + AHEAD)
            with anyio.fail_after(10):
                while threads.calls < 1:
                    await checkpoint()
            assert reserved(tmp_path) == last + AHEAD
            ids.used(last + AHEAD + 1)
            await until(lambda: reserved(tmp_path) == last + 2 * AHEAD + 1)
            tasks.cancel_scope.cancel()

    anyio.run(run)
