"""The decision who may write to a target whose store has metadata."""

from types import SimpleNamespace
from typing import Any

import pytest

from tokend.plugin.store_writer import require_ours
from tokend.values.errors import NewerGenerationError, SinkConflictError

OURS, OTHERS = "0" * 32, "f" * 32


def ask(*, may_take_over: bool = False, **found: Any) -> None:
    runtime: Any = SimpleNamespace(writer=OURS, may_take_over=may_take_over)
    require_ours(runtime, "store:app", **found)


@pytest.mark.parametrize(
    "found",
    [
        {"writer": None, "generation": None, "ours": 7},
        {"writer": OURS, "generation": "7", "ours": 7},
        {"writer": OURS, "generation": "6", "ours": 7},
        {"writer": OURS, "generation": "9", "ours": None},
        {"writer": OURS, "generation": "not a number", "ours": 7},
        {"writer": OURS, "generation": "9" * 5000, "ours": 7},
        {"writer": OTHERS, "generation": "9", "ours": 7, "may_take_over": True},
        {"writer": None, "generation": "9", "ours": 7},
    ],
)
def test_what_is_ours_or_nobodys_may_be_written(found: dict[str, Any]) -> None:
    """Nobody's, our own with an older generation, or another's that an admin gives us."""
    ask(**found)


def test_another_writer_is_a_conflict_that_names_it() -> None:
    """Its id is shown in short, and the command that decides. Other text of the store is not shown."""
    with pytest.raises(SinkConflictError, match=r"another tokend \(ffffffff\).*--take-over"):
        ask(writer=OTHERS, generation="1", ours=7)
    with pytest.raises(SinkConflictError) as refused:
        ask(writer="planted-fake-secret", generation="1", ours=7)
    assert "planted" not in refused.value.detail


def test_a_higher_generation_of_our_own_is_newer() -> None:
    """The saved state is old; also for an admin's takeover, which is about other writers."""
    with pytest.raises(NewerGenerationError) as newer:
        ask(writer=OURS, generation="9", ours=7, may_take_over=True)
    assert newer.value.generation == 9
