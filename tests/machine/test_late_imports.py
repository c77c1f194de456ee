"""Imports away from the event loop."""

import asyncio
import sys
import threading
from pathlib import Path

import pytest

from tokend.machine.late_imports import import_away, run_away


def test_a_module_is_imported_in_another_thread_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module notes the thread that reads it."""
    name = "imported_by_a_test_of_late_imports"
    (tmp_path / f"{name}.py").write_text("import threading\nthread = threading.get_ident()\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    async def scenario() -> None:
        await import_away(name)
        first = sys.modules[name]
        assert first.thread != threading.get_ident()
        await import_away(name)
        assert sys.modules.pop(name) is first
        assert await run_away(threading.get_ident) != threading.get_ident()

    asyncio.run(scenario())


def test_an_import_that_fails_raises_its_error() -> None:
    """The caller learns why."""
    with pytest.raises(ModuleNotFoundError):
        asyncio.run(import_away("no_such_module_anywhere"))
