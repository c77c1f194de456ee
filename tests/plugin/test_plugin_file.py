"""A file of a plug-in is run once, by its content, and forgotten on demand. `tests/config` has the faults."""

import sys
import threading
from pathlib import Path

import pytest

from tests.files.children import until
from tokend.plugin import plugin_run
from tokend.plugin.plugin_errors import PluginError
from tokend.plugin.plugin_file import forget_plugin, has_run, load_plugin, put_in_use

SOURCE = """
from __future__ import annotations
from typing import Literal
from tokend.plugin import FileSink, HeldSettings, Lease, OnDemandSettings

class _Hidden(HeldSettings):
    kind: Literal["hidden"] = "hidden"

class Written(HeldSettings):
    kind: str = "written"

    async def fetch(self, runtime, previous):
        raise NotImplementedError

class Chosen(OnDemandSettings):
    kind: Literal["chosen"]

    def check(self, parameters):
        pass

    async def issue(self, runtime, parameters):
        raise NotImplementedError

Alias = Written

class Card(FileSink):
    kind: Literal["written"] = "written"

    def render(self, lease: Lease) -> bytes:
        return b""
"""


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "acme.py"
    path.write_text(text)
    return path


def test_the_public_classes_of_the_file_declare_its_kinds(tmp_path: Path) -> None:
    """By a default or an only choice; a kind of providers and one of sinks may have one name."""
    path = file(tmp_path, SOURCE)
    plugin, is_changed = load_plugin(path)
    assert (sorted(plugin.providers), sorted(plugin.sinks), is_changed) == (["chosen", "written"], ["written"], False)
    assert plugin.providers["written"].__module__ == str(path.resolve())
    assert [one.name for one in tmp_path.iterdir()] == ["acme.py"]


def test_a_file_runs_once_also_by_another_name(tmp_path: Path) -> None:
    """A link to it is the same file. Another content is only noticed."""
    path = file(tmp_path, SOURCE)
    (tmp_path / "link.py").symlink_to(path)
    first, _ = load_plugin(path)
    assert load_plugin(tmp_path / "link.py") == (first, False)
    put_in_use([*first.providers.values(), int])
    file(tmp_path, "raise ValueError")
    assert load_plugin(path) == (first, True)


def test_a_forgotten_file_runs_again(tmp_path: Path) -> None:
    """Its classes are others then."""
    path = file(tmp_path, SOURCE)
    first, _ = load_plugin(path)
    assert has_run(path)
    forget_plugin(path)
    assert not has_run(path)
    assert str(path) not in sys.modules
    again, _ = load_plugin(path)
    assert again.providers["written"] is not first.providers["written"]


def test_a_file_that_does_not_end_is_a_fault_until_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another content of it is loaded meanwhile, and stays."""
    gate = threading.Event()
    monkeypatch.setattr(sys, "gate_of_a_test", gate, raising=False)
    path = file(tmp_path, "import sys\nassert sys.gate_of_a_test.wait(60)\nraise ValueError\n")
    with monkeypatch.context() as limited:
        limited.setattr(plugin_run, "LIMIT_SECONDS", 0.05)
        with pytest.raises(PluginError, match=r"cannot be loaded: its import has not ended after 0.05 s") as caught:
            load_plugin(path)
    assert (caught.value.line, caught.value.column) == (1, 1)
    slow, source = next(one for what, one in plugin_run._runs.items() if str(path) in str(what)), path.read_text()
    file(tmp_path, SOURCE)
    plugin, _ = load_plugin(path)
    gate.set()
    until(lambda: not slow.is_alive(), "its end")
    assert sys.modules[str(path)].__dict__["Written"] is plugin.providers["written"]
    forget_plugin(path)
    file(tmp_path, source)
    with pytest.raises(PluginError, match="ValueError"):
        load_plugin(path)
    assert not has_run(path)


def test_a_large_file_and_none_are_refused(tmp_path: Path) -> None:
    """Before they run."""
    with pytest.raises(OSError, match="bytes"):
        load_plugin(file(tmp_path, "#" * 1024 * 1024 + "\n"))
    with pytest.raises(FileNotFoundError):
        load_plugin(tmp_path / "none.py")


def test_a_class_whose_fields_cannot_be_built_is_a_fault(tmp_path: Path) -> None:
    """The name of the unknown type is in the message."""
    wrong = SOURCE.replace('kind: str = "written"', 'kind: str = "written"\n    more: Unknown')
    with pytest.raises(PluginError, match=r'kind "written" \(Written\) is not usable: .*Unknown is unknown'):
        load_plugin(file(tmp_path, wrong))
