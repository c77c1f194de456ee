"""A piece of work that is not broken off at once when the daemon stops."""

from collections.abc import Awaitable, Callable

import anyio


async def with_grace(work: Callable[[], Awaitable[None]], *, seconds: float) -> None:
    """Do ``work``. If this task is cancelled meanwhile, the work has ``seconds`` more to end by itself."""
    failure: Exception | None = None
    shielded = anyio.CancelScope(shield=True)

    async def note_cancellation() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            shielded.deadline = anyio.current_time() + seconds

    async with anyio.create_task_group() as both:
        both.start_soon(note_cancellation)
        with shielded:
            try:
                await work()
            except Exception as error:  # outside the group it is no group of errors
                failure = error
        both.cancel_scope.cancel()
    if failure is not None:
        raise failure
