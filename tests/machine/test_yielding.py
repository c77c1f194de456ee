"""Long ways with room for others."""

import anyio
import anyio.lowlevel

from tokend.machine.yielding import with_pauses


def test_others_are_served_while_thousands_are_gone_through() -> None:
    """docs/promises.md P9: a list of ten thousand tokens holds no reader up for longer than some of them take."""

    async def main() -> None:
        seen, longest = 0, 0

        async def other() -> None:
            nonlocal longest
            before = 0
            while seen < 1000:
                longest, before = max(longest, seen - before), seen
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            async for thing in with_pauses(range(1000), together=50):
                assert thing == seen
                seen += 1
        assert longest == 50

    anyio.run(main)
