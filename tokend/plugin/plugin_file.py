"""One file of a plug-in: read, run once in a process, and the kinds that its classes declare. Blocks."""

import ast
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

from tokend.files import read_whole
from tokend.machine.late_imports import NotImportedError
from tokend.plugin.kind_check import provider_faults, sink_faults
from tokend.plugin.plugin_errors import PluginError, of_another_api, words_of
from tokend.plugin.plugin_run import first_run
from tokend.plugin.settings import ProviderSettings, SinkSettings

LARGEST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PluginFile:
    """A file that was run, the digest of what was run, and its classes by kind."""

    path: Path
    digest: bytes
    providers: Mapping[str, type[ProviderSettings]]
    sinks: Mapping[str, type[SinkSettings]]


# By real path. A file runs once in a process: a reload compares settings by `==`, which needs one class.
_loaded: dict[str, PluginFile] = {}
# Of them, those whose kinds a running daemon uses, or used: they do not run again.
_in_use: set[str] = set()


def load_plugin(path: Path) -> tuple[PluginFile, bool]:
    """Run the file, unless it ran already; return its kinds, and whether the file has changed since it ran. Blocks.

    Raises OSError if it cannot be read, and `PluginError`. A file that failed runs again at the next call, and so does
    a changed one that nothing uses yet. The caller has judged the path.
    """
    source = read_whole(path, at_most=LARGEST_BYTES)
    digest, name = hashlib.sha256(source).digest(), os.path.realpath(path)
    known = _loaded.get(name)
    if known is None or (known.digest != digest and name not in _in_use):
        try:
            known = _loaded[name] = first_run((name, digest), lambda: _load(path, name, source, digest))
        except NotImportedError as error:
            raise PluginError(f"this plug-in cannot be loaded: {error}") from None
    return known, known.digest != digest


def put_in_use(models: Iterable[type]) -> None:
    """Keep the files that define these classes of kinds as they ran: a running daemon uses them."""
    _in_use.update(model.__module__ for model in models if model.__module__ in _loaded)


def has_run(path: Path) -> bool:
    """Return whether the file ran in this process, and was not forgotten."""
    return os.path.realpath(path) in _loaded


def forget_plugin(path: Path) -> None:
    """Let the file run again at the next `load_plugin`. No configuration uses its kinds."""
    name = os.path.realpath(path)
    _loaded.pop(name, None)
    sys.modules.pop(name, None)


def _load(path: Path, name: str, source: bytes, digest: bytes) -> PluginFile:
    # The module has the path as its name: messages that name a kind's module name the file.
    module = ModuleType(name)
    module.__file__, module.__package__ = name, ""
    sys.modules[name] = module
    try:
        _run(module, name, source)
        providers, sinks = _kinds(module)
    except BaseException as error:
        if sys.modules.get(name) is module:  # else another content of the file has run meanwhile
            del sys.modules[name]
        if isinstance(error, PluginError):
            raise
        line, column = _place(error, name)
        raise PluginError(f"this plug-in cannot be loaded: {words_of(error)}", line, column) from None
    return PluginFile(path, digest, providers, sinks)


def _run(module: ModuleType, name: str, source: bytes) -> None:
    """Run the file. No byte code is written beside it."""
    tree = ast.parse(source, name)
    # Before it runs: what a later API has, this tokend cannot import.
    _check_api(next(_said_api(tree), None))
    exec(compile(tree, name, "exec", dont_inherit=True), module.__dict__)  # noqa: S102  (root's or our own file)
    _check_api(getattr(module, "API", None))


def _check_api(found: object) -> None:
    if (fault := of_another_api(found)) is not None:
        raise PluginError(f"this plug-in cannot be loaded: {fault}")


def _said_api(tree: ast.Module) -> Iterator[object]:
    for node in tree.body:
        names = [one.id for one in node.targets if isinstance(one, ast.Name)] if isinstance(node, ast.Assign) else []
        if "API" in names and isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            yield node.value.value


def _place(error: BaseException, name: str) -> tuple[int, int]:
    """Return the line and the column of the file that an error is about."""
    if isinstance(error, SyntaxError) and error.filename == name:
        return error.lineno or 1, error.offset or 1
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line, 1


def _kinds(module: ModuleType) -> tuple[dict[str, type[ProviderSettings]], dict[str, type[SinkSettings]]]:
    """Return the usable classes by kind. Raises `PluginError` for all faults at once."""
    providers: dict[str, type[ProviderSettings]] = {}
    sinks: dict[str, type[SinkSettings]] = {}
    faults: list[str] = []
    for model in _classes(module):
        kind = _declared_kind(model)
        if kind is None:
            continue
        table: dict[str, Any] = providers if issubclass(model, ProviderSettings) else sinks
        if kind in table:
            faults.append(f'kind "{kind}" is declared by two classes, {table[kind].__name__} and {model.__name__}')
            continue
        table[kind] = model
        check = provider_faults if issubclass(model, ProviderSettings) else sink_faults
        try:
            found = check(kind, model)
        except Exception as error:
            found = [f"the check of its class failed ({type(error).__name__})"]
        faults += [f'kind "{kind}" ({model.__name__}) is not usable: {fault}' for fault in found]
    if not providers and not sinks and not faults:
        faults.append('no class in it declares a kind: write kind: Literal["acme"] = "acme" in the class')
    if faults:
        raise PluginError("; ".join(faults))
    return providers, sinks


def _classes(module: ModuleType) -> Iterator[type[ProviderSettings] | type[SinkSettings]]:
    """Yield the public classes of kinds that the file itself defines."""
    for name, found in list(vars(module).items()):
        is_own = isinstance(found, type) and found.__module__ == module.__name__ and found.__name__ == name
        if is_own and not name.startswith("_") and issubclass(found, ProviderSettings | SinkSettings):
            yield found


def _declared_kind(model: type[ProviderSettings] | type[SinkSettings]) -> str | None:
    """Return the default of the field ``kind``, or the only value that it may have; None for a class without one."""
    field = model.model_fields.get("kind")
    if field is None:
        return None
    if isinstance(field.default, str):
        return field.default
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return choices[0] if len(choices) == 1 and isinstance(choices[0], str) else None
