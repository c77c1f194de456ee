"""Inputs that the fuzzer found, and inputs by hand: every target takes every input, without the fuzzer."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
# A quick look by default; CI looks for longer.
EXAMPLES = int(os.environ.get("TOKEND_FUZZ_EXAMPLES", "40"))
LARGEST_CORPUS_BYTES = 128 * 1024


def seeds(name: str) -> list[bytes]:
    """The kept inputs of a target, in a fixed order."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


@pytest.mark.parametrize("name", TARGETS)
def test_every_kept_input_is_taken(name: str) -> None:
    """Each of them reached code that no smaller one did, or once broke something."""
    inputs = seeds(name)
    assert inputs
    for data in inputs:
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_what_lies_near_a_kept_input_is_taken(name: str) -> None:
    """Pieces of one put into another, the end cut off: never a crash (docs/promises.md 12, 64, 102)."""
    inputs = seeds(name)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def near(data: st.DataObject) -> None:
        base = data.draw(st.sampled_from(inputs))
        other = data.draw(st.sampled_from(inputs) | st.binary(max_size=8))
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(base))] * 2)))
        first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(other))] * 2)))
        TARGETS[name](base[:start] + other[first:last] + base[end:])

    near()


def test_the_corpus_is_small_and_has_no_strangers() -> None:
    """One directory per target; all of them together are no burden to a clone."""
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < LARGEST_CORPUS_BYTES
