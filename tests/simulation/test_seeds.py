"""P2, P3, P6, P7, P8, P10 under random faults, from seeds: `python -m tests.simulation` runs as many as one likes."""

import os
import re
import subprocess
import sys

import pytest

from tests.simulation.__main__ import replay, told
from tests.simulation.simulation import simulate

# CI runs a thousand (TOKEND_SIMULATION_SEEDS=1000), which takes two minutes: too long for a run by hand.
SEEDS = int(os.environ.get("TOKEND_SIMULATION_SEEDS", "20"))
PORTION = 10 if SEEDS > 100 else 5


@pytest.mark.parametrize("first", range(0, SEEDS, PORTION))
def test_no_fate_breaks_a_promise(first: int) -> None:
    """docs/promises.md P2, P3, P6, P7, P8: after each event, and an hour after all faults have ended."""
    failed = [told(result) for seed in range(first, min(first + PORTION, SEEDS)) if (result := simulate(seed)).broken]
    assert failed == [], "\n".join(failed)


def test_a_seed_is_one_course_of_things_in_any_process() -> None:
    """P10: the command that a failure prints shows the same again, under another hash seed, to the last line."""
    command = [sys.executable, *replay(3).split()[1:]]
    again = [
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
        for seed in ("1", "2")
    ]
    assert again[0].stdout == again[1].stdout
    (printed,) = re.findall(r"^hash (\w+)$", again[0].stdout, re.MULTILINE)
    assert printed == simulate(3).digest
    assert len(again[0].stdout.splitlines()) > 100


def test_another_seed_is_another_course_of_things() -> None:
    """The hash tells them apart."""
    assert len({simulate(seed).digest for seed in range(3, 6)}) == 3
