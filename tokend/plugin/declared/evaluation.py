"""Evaluation of an answer's expressions, in a thread and with a limit of time."""

from collections.abc import Callable
from typing import TypeVar

from tokend.plugin.provider import Runtime
from tokend.values.errors import TransientError

# Of a busy machine: an expression takes less than half a second by itself.
EVALUATION_SECONDS = 20.0

T = TypeVar("T")


async def evaluated(runtime: Runtime, look: Callable[[], T], host: str) -> T:
    """Return what ``look`` finds in an answer of ``host``.

    Raises what it raises, and `TransientError` if it does not end: the answer is discarded.
    """
    try:
        return await runtime.run_in_thread(look, seconds=EVALUATION_SECONDS)
    except TimeoutError:
        raise TransientError(f"{host}: the expressions of answer and errors were not evaluated in time") from None
