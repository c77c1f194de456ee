"""The files of ``[daemon] plugins``: judged, run, and their kinds added to those of one load. Blocks."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from tokend.config.config_files import Document, one_line
from tokend.config.fields import Visibility
from tokend.config.findings import ConfigProblem
from tokend.config.kind_lookup import LoadKinds
from tokend.config.loading import Loading
from tokend.files import Level, UntrustedError, judged_once, require_safe
from tokend.plugin.plugin_errors import PluginError
from tokend.plugin.plugin_file import PluginFile, forget_plugin, has_run, load_plugin
from tokend.values.status import PluginStatus

M = TypeVar("M", bound=BaseModel)

CODE = "plugin"


def read_plugins(loading: Loading, main: Document, paths: Iterable[Path]) -> None:
    """Load the files and add their kinds. A file with a fault adds none, and its fault is one finding.

    A start goes on without it: a warning. A file that ran before is not run again; where it has changed, the status
    says so.
    """
    found: dict[Path, PluginFile] = {}
    faults: dict[Path, str] = {}
    changed: set[Path] = set()
    twice: tuple[set[str], set[str]] = (set(), set())
    paths = list(paths)
    for index, path in enumerate(paths):
        if path in paths[:index]:
            loading.error(main, ("daemon", "plugins", index), f"plugins: {path} is named twice", Visibility.PUBLIC)
            continue
        is_new = not has_run(path)
        problem = _read(main, index, path, found, changed)
        if problem is None:
            problem = _conflict(loading, path, found, twice)
            if problem is not None and is_new:
                forget_plugin(path)  # so that it counts when it has been corrected
        if problem is not None:
            found.pop(path, None)
            faults[path] = problem.message
            loading.lacks_plugin = True
            loading.findings.of_this_machine(problem)
    for plugin in found.values():
        for kind, provider in plugin.providers.items():
            loading.providers.add(kind, provider)
        for kind, sink in plugin.sinks.items():
            loading.sinks.add(kind, sink)
    for kind in twice[0]:
        loading.providers.withdraw(kind)
    for kind in twice[1]:
        loading.sinks.withdraw(kind)
    loading.plugins += [_status(path, found.get(path), faults.get(path), changed) for path in dict.fromkeys(paths)]


def _read(
    main: Document, index: int, path: Path, found: dict[Path, PluginFile], changed: set[Path]
) -> ConfigProblem | None:
    def refused(message: str, code: str) -> ConfigProblem:
        place = ("daemon", "plugins", index)
        return main.problem(place, f"plugins: {path}: {message}", visibility=Visibility.PUBLIC, code=code)

    try:
        # Its code runs as the daemon: a group that may write it is one too many.
        with judged_once(strict=True):
            require_safe(path, foreign=Level.UNSAFE)
        found[path], is_changed = load_plugin(path)
    except UntrustedError as error:
        return refused(f"unsafe path: {error.strerror}", "unsafe_path")
    except OSError as error:
        return refused(f"this file cannot be read: {error.strerror or error}", CODE)
    except PluginError as error:
        return ConfigProblem(str(path), error.line, error.column, one_line(error.message), code=CODE)
    if is_changed:
        changed.add(path)
    return None


def _conflict(
    loading: Loading, path: Path, found: dict[Path, PluginFile], twice: tuple[set[str], set[str]]
) -> ConfigProblem | None:
    """Return what is wrong with the names of the kinds of a file: another place has them already.

    ``twice`` gets the kinds, of providers and of sinks, that two places declare.
    """
    plugin = found[path]
    others = [(place, other) for place, other in found.items() if place != path]
    faults = [
        *_taken(loading.providers, plugin.providers, [(place, other.providers) for place, other in others], twice[0]),
        *_taken(loading.sinks, plugin.sinks, [(place, other.sinks) for place, other in others], twice[1]),
    ]
    return ConfigProblem(str(path), 1, 1, one_line("; ".join(faults)), code=CODE) if faults else None


def _taken(
    kinds: LoadKinds[M], declared: Iterable[str], others: list[tuple[Path, Iterable[str]]], withdrawn: set[str]
) -> list[str]:
    faults = []
    for kind in declared:
        if kinds.lookup.is_built_in(kind):
            faults.append(f'kind "{kind}" is one of tokend\'s own, and no plug-in replaces it: choose another name')
            continue
        places = [str(place) for place, theirs in others if kind in theirs]
        places += [f"the package of {place}" for place in kinds.lookup.offers(kind)]
        if places:
            withdrawn.add(kind)
            faults.append(f'kind "{kind}" is declared twice: here and by {" and ".join(places)}; keep one')
    return faults


def _status(path: Path, plugin: PluginFile | None, fault: str | None, changed: set[Path]) -> PluginStatus:
    if plugin is None:
        return PluginStatus(str(path), None, None, error=fault)
    providers, sinks = tuple(sorted(plugin.providers)), tuple(sorted(plugin.sinks))
    return PluginStatus(str(path), None, None, providers, sinks, is_changed=path in changed)
