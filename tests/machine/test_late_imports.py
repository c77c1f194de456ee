"""Imports away from the event loop."""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
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


class Slow(SourceFileLoader):
    """A loader that takes its time before the module can be seen."""

    begun, never = threading.Event(), threading.Event()

    def create_module(self, spec: ModuleSpec) -> None:
        self.begun.set()
        self.never.wait(0.3)


class SlowFinder:
    """A finder of one package."""

    def __init__(self, package: Path) -> None:
        self._package = package

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        file = str(self._package / "__init__.py")
        if name != self._package.name:
            return None
        return spec_from_file_location(
            name, file, loader=Slow(name, file), submodule_search_locations=[str(self._package)]
        )


def test_a_package_and_its_module_are_imported_by_two_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `importlib.import_module` one thread waits for the package while it has the module, and the other raises."""
    package = tmp_path / "package_of_a_test_of_late_imports"
    package.mkdir()
    (package / "__init__.py").write_text(f"from {package.name} import inner\n")
    (package / "inner.py").write_text("")
    monkeypatch.setattr(sys, "meta_path", [SlowFinder(package), *sys.meta_path])
    with ThreadPoolExecutor(2) as pool:
        outer = pool.submit(import_alone, package.name)
        assert Slow.begun.wait(10)
        inner = pool.submit(import_alone, f"{package.name}.inner")
        assert inner.result(10) is outer.result(10).__dict__["inner"]
