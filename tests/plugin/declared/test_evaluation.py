"""Evaluation of an answer in a thread: what it finds, what it raises, and when it does not end."""

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import pytest

from tests.providers.http.asking import settings
from tests.providers.live import LiveRuntime
from tokend.plugin.declared.evaluation import EVALUATION_SECONDS, evaluated
from tokend.values.errors import TransientError

T = TypeVar("T")


class Endless(LiveRuntime):
    """A runtime in which no call ends in its time."""

    async def run_in_thread(self, call: Callable[[], T], *, seconds: float) -> T:
        assert seconds == EVALUATION_SECONDS
        raise TimeoutError


def found(runtime: type[LiveRuntime], look: Callable[[], Any]) -> Any:
    async def main() -> Any:
        return await evaluated(runtime(settings()), look, "api.example:443")

    return anyio.run(main)


def test_what_is_found_is_returned() -> None:
    """And what is raised is raised."""

    def fails() -> None:
        raise TransientError("discarded")

    assert found(LiveRuntime, lambda: 7) == 7
    with pytest.raises(TransientError, match="discarded"):
        found(LiveRuntime, fails)


def test_an_evaluation_that_does_not_end_discards_the_answer() -> None:
    """The message names the host."""
    with pytest.raises(TransientError, match=r"api\.example:443: the expressions .* were not evaluated in time"):
        found(Endless, lambda: 7)
