"""Denials in the log: enough to see each peer's, never so many that they fill it."""

from tokend.access.denial_log import MOST_UIDS, DenialLog


def test_a_noisy_peer_has_a_line_a_second_with_a_count() -> None:
    """What came between is counted in the next line."""
    denials = DenialLog()
    assert [denials.record(1, 10 + tenth / 10) for tenth in range(21)] == [
        *(0, *[None] * 9),
        *(9, *[None] * 9),
        9,
    ]


def test_a_noisy_peer_hides_nobody_else() -> None:
    """Each uid has a second of its own, and counts of its own."""
    denials = DenialLog()
    assert [denials.record(1, 10.0) for _ in range(100)] == [0, *[None] * 99]
    assert denials.record(2, 10.0) == 0
    assert denials.record(2, 11.0) == 0
    assert denials.record(1, 11.0) == 99


def test_ever_new_uids_fill_neither_log_nor_memory() -> None:
    """Beyond the most at a time they share one line a second; those that are quiet again make room."""
    denials = DenialLog()
    assert sum(denials.record(uid, 10.0) is not None for uid in range(10_000)) == MOST_UIDS + 1
    assert len(denials._last) == MOST_UIDS + 1
    assert sum(denials.record(uid, 11.5) is not None for uid in range(20_000, 30_000)) == MOST_UIDS + 1
    assert len(denials._last) == MOST_UIDS + 1


def test_a_clock_that_steps_back_silences_nobody() -> None:
    """The time of the last line may be ahead of now, after a restart from a snapshot."""
    denials = DenialLog()
    assert denials.record(1, 1000.0) == 0
    assert denials.record(1, 5.0) == 0
