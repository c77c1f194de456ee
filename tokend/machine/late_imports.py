"""Imports that wait for their first use, away from the event loop: reading modules may wait for a disk."""

import sys
import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TypeVar

from tokend.machine.thread_pool import ThreadPool

T = TypeVar("T")

# Larger than any import takes on a slow machine.
IMPORT_SECONDS = 60.0

_importing = threading.RLock()


async def import_away(name: str) -> None:
    """Import a module in a thread of its own, unless it is imported already."""
    if name not in sys.modules:
        await run_away(partial(import_alone, name))


def import_alone(name: str) -> ModuleType:
    """Import a module while no other thread imports one by this function. Blocks.

    An import that a thread beside the loop's may be the first to make goes through here. Otherwise Python raises
    `_DeadlockError` in one of two threads of which one imports a package and the other a module in it, as happens with
    `importlib.resources`, which many libraries use.
    """
    with _importing:
        return import_module(name)


def run_alone(call: Callable[[], T]) -> T:
    """Run a call that imports modules while no other thread imports one by `import_alone`. Blocks."""
    with _importing:
        return call()


async def run_away(call: Callable[[], T]) -> T:
    """Run a call that imports modules in a thread of its own."""
    return await ThreadPool(1).run(call, seconds=IMPORT_SECONDS)
