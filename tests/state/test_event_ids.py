"""First event id of a run: above all earlier ones, whatever happened to clock and state."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.httpd.served import logged
from tokend.state import event_ids
from tokend.state.event_ids import IDS_PER_RUN, NAME, take

NOW = datetime(2025, 1, 1, tzinfo=UTC)
MILLISECONDS = int(NOW.timestamp() * 1000)


def test_ids_begin_at_the_clock_where_nothing_is_known(tmp_path: Path) -> None:
    """So that they rise even where the state was lost; the file is for the owner alone, like all of the state."""
    assert take(tmp_path, NOW) == MILLISECONDS
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("step", [timedelta(0), timedelta(seconds=-1), timedelta(days=-9000), timedelta(days=9000)])
def test_each_run_begins_above_all_that_the_one_before_could_give(tmp_path: Path, step: timedelta) -> None:
    """Also where the clock stepped back meanwhile, to before anything was ever issued."""
    first = take(tmp_path, NOW)
    second = take(tmp_path, NOW + step)
    assert second >= first + IDS_PER_RUN
    assert take(tmp_path, NOW + step) >= second + IDS_PER_RUN


@pytest.mark.parametrize("content", [b"", b"x", b"-5", b"1e9", b"9" * 30, b"9" * 18, b"\xff\xfe", "²".encode()])
def test_a_damaged_file_is_warned_of_and_the_clock_counts(tmp_path: Path, content: bytes) -> None:
    """Never a crash loop (docs/promises.md 64)."""
    (tmp_path / NAME).write_bytes(content)
    with logged() as lines:
        assert take(tmp_path, NOW) == MILLISECONDS
        assert take(tmp_path, NOW) == MILLISECONDS + IDS_PER_RUN
    (line,) = lines
    assert (line["log_level"], line["path"]) == ("warning", str(tmp_path / NAME))


def test_what_is_no_file_at_all_keeps_nobody_from_starting(tmp_path: Path) -> None:
    """A fifo is not waited for, a directory not written over; both are said."""
    os.mkfifo(tmp_path / NAME)
    with logged() as lines:
        assert take(tmp_path, NOW) == MILLISECONDS
        assert take(tmp_path / "missing", NOW) == MILLISECONDS
    assert [line["event"] for line in lines] == ["state.unreadable", "state.write_failed"]


def test_all_ids_fit_into_a_last_event_id() -> None:
    """18 digits; and what a run takes, it cannot use up."""
    assert MILLISECONDS + 10**7 * IDS_PER_RUN < event_ids.MOST
    assert IDS_PER_RUN > 300 * 365 * 86_400
