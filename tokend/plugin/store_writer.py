"""The comparison before a write: which tokend wrote to a target last, and which generation of the token."""

import re

from tokend.plugin.sink import SinkRuntime
from tokend.values.errors import NewerGenerationError, SinkConflictError

# As `SinkRuntime.writer` has it. The metadata may hold anything.
_WRITER = re.compile(r"[0-9a-f]{8,64}", re.ASCII)
_GENERATION = re.compile(r"[0-9]{1,18}", re.ASCII)


def require_ours(
    runtime: SinkRuntime, target: str, *, writer: object, generation: object, ours: int | None = None
) -> None:
    """Return if this daemon may write to the target; ``writer`` and ``generation`` are what the store has of it.

    ``ours`` is the generation that is to be written, None for a removal. Raises `SinkConflictError` for another writer
    unless an admin has decided, and `NewerGenerationError` for a higher generation of our own.
    """
    if writer is not None and writer != runtime.writer:
        if runtime.may_take_over:
            return
        known = isinstance(writer, str) and _WRITER.fullmatch(writer)
        who = f"another tokend ({str(writer)[:8]})" if known else "another writer"
        raise SinkConflictError(f"{target}: {who} writes to it; to take it over: tokend sync NAME --take-over")
    found = int(str(generation)) if writer is not None and _GENERATION.fullmatch(str(generation)) else 0
    if ours is not None and found > ours:
        raise NewerGenerationError(
            f"{target}: it holds generation {found} of the token, ours is {ours}: the saved state is old",
            generation=found,
        )
