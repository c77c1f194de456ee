"""The first run of a plug-in's code: its limit of time, and what follows when it ends late."""

import sys
import threading
from pathlib import Path

import pytest

from tests.files.children import until
from tokend.machine.late_imports import LimitedImport, NotImportedError, import_alone
from tokend.plugin import plugin_run
from tokend.plugin.plugin_run import first_run, threads_left


class Gate:
    """A call that ends when the test says so; ``runs`` counts how often it began."""

    def __init__(self) -> None:
        self.opened, self.runs = threading.Event(), 0

    def __call__(self) -> str:
        """Wait, and return a word."""
        self.runs += 1
        assert self.opened.wait(60)
        return "its result"


def late(what: str) -> threading.Thread:
    return plugin_run._runs[what]


def test_what_does_not_end_in_time_runs_on_alone_and_counts_when_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not run a second time beside itself, and nobody waits for it again."""
    gate = Gate()
    with monkeypatch.context() as limited:
        limited.setattr(plugin_run, "LIMIT_SECONDS", 0.05)
        with pytest.raises(NotImportedError, match=r"^its import has not ended after 0.05 s$"):
            first_run("slow", gate)
    with pytest.raises(NotImportedError):
        first_run("slow", gate)
    assert first_run("another", lambda: 7) == 7
    gate.opened.set()
    until(lambda: not late("slow").is_alive(), "its end")
    assert (first_run("slow", gate), gate.runs) == ("its result", 1)
    assert (first_run("slow", gate), gate.runs) == ("its result", 2)


def test_other_imports_go_on_beside_one_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of imports is free again."""
    gate = Gate()
    monkeypatch.setattr(plugin_run, "LIMIT_SECONDS", 0.05)
    with pytest.raises(NotImportedError):
        first_run("beside", gate)
    (tmp_path / "module_of_a_test_of_plugin_run.py").write_text("WORD = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(import_alone("module_of_a_test_of_plugin_run")), daemon=True)
    thread.start()
    thread.join(60)
    assert found == [sys.modules.pop("module_of_a_test_of_plugin_run")]
    gate.opened.set()
    until(lambda: not late("beside").is_alive(), "its end")
    assert first_run("beside", gate) == "its result"


def test_two_at_once_run_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load that was given up, and the next one."""
    gate = Gate()
    found: list[str] = []
    waiting: list[float] = []
    wait = LimitedImport.wait

    def waits(run: LimitedImport[str], seconds: float) -> str:
        waiting.append(seconds)
        return wait(run, seconds)

    monkeypatch.setattr(LimitedImport, "wait", waits)
    loads = [threading.Thread(target=lambda: found.append(first_run("both", gate)), daemon=True) for _ in range(2)]
    for load in loads:
        load.start()
    until(lambda: len(waiting) == 2, "both")
    gate.opened.set()
    for load in loads:
        load.join(60)
    assert (found, gate.runs) == (["its result"] * 2, 1)


def test_others_that_hang_as_well_are_not_waited_for_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload has a minute for all."""
    gate = Gate()
    monkeypatch.setattr(plugin_run, "LIMIT_SECONDS", 0.05)
    monkeypatch.setattr(plugin_run, "LIMIT_BESIDE_SECONDS", 0.01)
    for name, limit in (("first", "0.05"), ("second", "0.01")):
        with pytest.raises(NotImportedError, match=f"after {limit} s"):
            first_run(name, gate)
    gate.opened.set()
    for name in ("first", "second"):
        until(lambda name=name: not late(name).is_alive(), "its end")  # type: ignore[misc]
        assert first_run(name, gate) == "its result"


def test_a_machine_without_a_thread_is_a_fault_of_the_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again."""

    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", none)
        with pytest.raises(NotImportedError, match="no thread can be started: can't start new thread"):
            first_run("full", int)
    assert first_run("full", int) == 0


def test_a_plug_in_may_import_what_tokend_imports_runs() -> None:
    """The thread that waits for it has the lock."""
    assert first_run("within", lambda: import_alone("json")) is sys.modules["json"]


@pytest.mark.parametrize("error", [ValueError("x"), TimeoutError(), KeyboardInterrupt(), SystemExit(3)])
def test_what_it_raises_is_raised(error: BaseException) -> None:
    """Also what would end a process, and an error of time that is its own."""

    def fails() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        first_run("fails", fails)
    assert caught.value is error


def test_threads_that_would_keep_the_process_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a plug-in has run: all others are tokend's own. One that is about to end keeps nobody."""
    first_run("threads", int)
    monkeypatch.setattr(plugin_run, "ENDING_SECONDS", 0.05)
    gate = Gate()
    keeps = threading.Thread(target=gate, name="keeps the process")
    others = threading.Thread(target=gate, name="keeps nothing", daemon=True)
    for thread in (keeps, others):
        thread.start()
    try:
        assert "keeps the process" in threads_left()
        assert "keeps nothing" not in threads_left()
        assert threading.main_thread().name not in threads_left()
        monkeypatch.setattr(plugin_run, "_has_run", False)
        assert threads_left() == []
        monkeypatch.setattr(plugin_run, "_has_run", True)
        monkeypatch.setattr(plugin_run, "ENDING_SECONDS", 60.0)
        monkeypatch.setattr(threading, "enumerate", lambda: [threading.main_thread(), keeps])  # not of other tests
        threading.Timer(0.1, gate.opened.set).start()
        assert threads_left() == []
    finally:
        gate.opened.set()
        keeps.join()
