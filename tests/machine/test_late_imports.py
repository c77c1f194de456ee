"""Imports away from the event loop."""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tokend.machine.late_imports import import_alone, import_away, run_away


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


class Slow:
    """A finder of modules that finds none, and takes its time with one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.begun, self._never = threading.Event(), threading.Event()

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == self._name:
            self.begun.set()
            self._never.wait(0.3)


def test_a_package_and_its_module_are_imported_by_two_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `importlib.import_module` one thread waits for the package while it has the module, and the other raises."""
    name = "package_of_a_test_of_late_imports"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(f"from {name} import inner\n")
    (tmp_path / name / "inner.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    slow = Slow(name)
    monkeypatch.setattr(sys, "meta_path", [slow, *sys.meta_path])
    with ThreadPoolExecutor(2) as pool:
        package = pool.submit(import_alone, name)
        assert slow.begun.wait(10)
        inner = pool.submit(import_alone, f"{name}.inner")
        assert inner.result(10) is package.result(10).__dict__["inner"]
