"""Read, validate, and report everything at once. Blocks; called in a thread."""

import os
import re
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tokend.config.model import Config, DaemonSettings, ProviderConfig
from tokend.config.paths import default_socket, default_state_directory
from tokend.config.positions import Place, positions
from tokend.config.report import ConfigProblem, InvalidConfigError, did_you_mean, place_in
from tokend.config.wording import explain, is_public
from tokend.errors import SecretError
from tokend.secret import Secret
from tokend.settings import OnDemandSettings, ProviderSettings, SinkSettings
from tokend.sources import SecretSource, read_secret

M = TypeVar("M", bound=BaseModel)

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
TOP_LEVEL = ("daemon", "include", "providers")
NOT_ON_DEMAND = ("refresh_before", "on_expiry", "sinks")
READ_TRIES = 5
# Between two reads of a changed file: a writer that truncates and writes needs microseconds.
AGAIN_SECONDS = 0.02
OTHERS_CAN_READ = 0o007


@dataclass
class _Document:
    """One file: its text, its values, and where they stand (found out when first needed)."""

    path: Path
    text: str
    values: dict[str, Any]
    readable_by_others: bool
    _places: dict[tuple[str | int, ...], Place] | None = None

    def problem(self, path: tuple[str | int, ...], message: str, *, public: bool = False) -> ConfigProblem:
        """A problem at the nearest place that is known on the way to ``path``."""
        if self._places is None:
            self._places = positions(self.text)
        known = next((path[:end] for end in range(len(path), 0, -1) if path[:end] in self._places), None)
        place = Place(1, 1) if known is None else self._places[known]
        return place_in(self.path, self.text, place.line, place.column, message, public=public and known == path)


@dataclass
class _Loading:
    """What is collected while a configuration is read."""

    providers: Mapping[str, type[ProviderSettings]]
    sinks: Mapping[str, type[SinkSettings]]
    environ: Mapping[str, str]
    errors: list[ConfigProblem] = field(default_factory=list)
    warnings: list[ConfigProblem] = field(default_factory=list)
    found: dict[str, ProviderConfig] = field(default_factory=dict)
    origins: dict[str, _Document] = field(default_factory=dict)
    targets: dict[tuple[str, ...], tuple[_Document, tuple[str | int, ...]]] = field(default_factory=dict)
    secret_files: set[Path] = field(default_factory=set)


def load(
    path: Path,
    *,
    providers: Mapping[str, type[ProviderSettings]],
    sinks: Mapping[str, type[SinkSettings]],
    environ: Mapping[str, str] = os.environ,
    before: Config | None = None,
) -> Config:
    """Read ``path`` and what it includes. Raises `InvalidConfigError` with every error; warnings are in the result.

    ``before`` is the configuration in force, on a reload: a file is then read until two reads agree, and one that
    shrank to nothing is not believed.
    """
    loading = _Loading(providers, sinks, environ)
    main = _read(loading, path, reloading=before is not None)
    if main is not None and before is not None and before.providers and not main.values:
        loading.errors.append(
            ConfigProblem(str(path), 1, 1, "the file is empty now: not believed, nothing was changed")
        )
    documents, directories = ([], ()) if main is None else _with_includes(loading, main, reloading=before is not None)
    daemon = _daemon(loading, main)
    for document in documents:
        _providers(loading, document)
    _check_targets(loading, daemon)
    _read_secrets(loading)
    if loading.errors or main is None or daemon is None:
        raise InvalidConfigError(loading.errors)
    return Config(
        daemon=daemon,
        providers=loading.found,
        files=tuple(document.path for document in documents),
        directories=directories,
        secret_files=tuple(sorted(loading.secret_files)),
        warnings=tuple(str(warning).split("\n", 1)[0] for warning in loading.warnings),
    )


# ------------------------------------------------------------------ files


def _read(loading: _Loading, path: Path, *, reloading: bool) -> _Document | None:
    """Read and parse one file; what is wrong with it is noted, and None returned."""
    try:
        raw = _stable(path, reloading=reloading)
        readable = bool(path.stat().st_mode & OTHERS_CAN_READ)
        text = raw.decode("utf-8")
    except OSError as error:
        loading.errors.append(ConfigProblem(str(path), 1, 1, f"cannot be read: {error.strerror or error}"))
        return None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        loading.errors.append(ConfigProblem(str(path), line, 1, "this line is not UTF-8"))
        return None
    try:
        return _Document(path, text.removeprefix("\ufeff"), tomllib.loads(text.removeprefix("\ufeff")), readable)
    except tomllib.TOMLDecodeError as error:
        loading.errors.append(_syntax_problem(path, text, error))
        return None


def _stable(path: Path, *, reloading: bool) -> bytes:
    content = path.read_bytes()
    for _ in range(READ_TRIES if reloading else 1):
        if reloading:
            time.sleep(AGAIN_SECONDS)
        previous, content = content, path.read_bytes()
        if content == previous:
            return content
    if reloading:
        raise OSError("it keeps changing while it is read")
    return content


def _syntax_problem(path: Path, text: str, error: tomllib.TOMLDecodeError) -> ConfigProblem:
    message = str(error)
    match = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    line, column = (int(match[1]), int(match[2])) if match else (text.count("\n") + 1, 1)
    message = message.removesuffix(" (at end of document)") if match is None else message[: match.start()]
    # tomllib quotes keys and characters in some of its messages: no more than the first words are its own.
    return place_in(
        path, text, line, column, f"not TOML: {re.split(r'[:(]| key | character', message)[0]}", public=False
    )


def _with_includes(loading: _Loading, main: _Document, *, reloading: bool) -> tuple[list[_Document], tuple[Path, ...]]:
    patterns = main.values.get("include", [])
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        message = 'include is an array of patterns: ["conf.d/*.toml"]'
        loading.errors.append(main.problem(("include",), message, public=True))
        patterns = []
    documents, directories = [main], []
    for pattern in patterns:
        base = main.path.parent
        directories.append((base / pattern).parent)
        for path in sorted(base.glob(pattern) if not Path(pattern).is_absolute() else Path("/").glob(pattern[1:])):
            if path.name.startswith(".") or path.name.endswith("~") or not path.is_file():
                continue
            document = _read(loading, path, reloading=reloading)
            if document is None:
                continue
            for key in document.values:
                if key in {"include", "daemon"}:
                    message = f"{key} belongs into the main file {main.path}: included files hold providers only"
                    loading.errors.append(document.problem((key,), message, public=True))
            documents.append(document)
    for document in documents:
        for key in document.values.keys() - set(TOP_LEVEL):
            message = f'unknown key "{key}"; known are {", ".join(TOP_LEVEL)}{did_you_mean(key, TOP_LEVEL)}'
            loading.errors.append(document.problem((key,), message))
    return documents, tuple(dict.fromkeys(directories))


# ------------------------------------------------------------------ tables


def _daemon(loading: _Loading, main: _Document | None) -> DaemonSettings | None:
    if main is None:
        return None
    values = main.values.get("daemon", {})
    if not isinstance(values, dict):
        loading.errors.append(main.problem(("daemon",), "daemon is a table: [daemon]"))
        return None
    defaults = {
        "socket": default_socket(loading.environ),
        "state_directory": default_state_directory(loading.environ, os.getuid()),
    }
    return _validate(loading, main, DaemonSettings, {**defaults, **values}, ("daemon",))


def _providers(loading: _Loading, document: _Document) -> None:
    tables = document.values.get("providers", {})
    if not isinstance(tables, dict):
        loading.errors.append(document.problem(("providers",), "providers are tables: [providers.NAME]"))
        return
    for name, table in tables.items():
        path = ("providers", name)
        if not NAME.fullmatch(name):
            message = f'"{name}" is no name: lower-case letters, digits, . _ - (64 at most, the first no sign)'
            loading.errors.append(document.problem(path, message, public=True))
        elif name in loading.origins:
            first = loading.origins[name].problem(path, "")
            message = f'provider "{name}" is defined twice; first at {first.file}:{first.line}'
            loading.errors.append(document.problem(path, message, public=True))
        elif not isinstance(table, dict):
            loading.errors.append(document.problem(path, f"a provider is a table: [providers.{name}]"))
        else:
            loading.origins[name] = document
            _provider(loading, document, name, table)


def _provider(loading: _Loading, document: _Document, name: str, table: dict[str, Any]) -> None:
    path: tuple[str | int, ...] = ("providers", name)
    model = _kind(loading, document, loading.providers, table, path)
    if model is None:
        return
    rest = {key: value for key, value in table.items() if key != "sinks"}
    on_demand = issubclass(model, OnDemandSettings)
    for key in NOT_ON_DEMAND if on_demand else ():
        if key in table:
            message = f"{key} is not for kind {table['kind']}: its tokens are issued on demand, none is kept or written"
            loading.errors.append(document.problem((*path, key), message, public=key != "sinks"))
            rest.pop(key, None)
    settings = _validate(loading, document, model, rest, path)
    sinks = [] if on_demand else _sinks(loading, document, table.get("sinks", []), (*path, "sinks"))
    if settings is None:
        return
    for header, value in settings.headers.items():
        if not (value.isascii() and value.isprintable() and header.isascii() and header.replace("-", "").isalnum()):
            message = "a header is a name and one line of printable ASCII"
            loading.errors.append(document.problem((*path, "headers", header), message))
    loading.found[name] = ProviderConfig(name, settings, tuple(sinks))


def _sinks(loading: _Loading, document: _Document, tables: Any, path: tuple[str | int, ...]) -> list[SinkSettings]:
    if not isinstance(tables, list):
        message = f"sinks are an array of tables: [[providers.{path[1]}.sinks]]"
        loading.errors.append(document.problem(path, message))
        return []
    sinks = []
    for index, table in enumerate(tables):
        here = (*path, index)
        if not isinstance(table, dict):
            loading.errors.append(document.problem(here, "a sink is a table with kind and path"))
            continue
        model = _kind(loading, document, loading.sinks, table, here)
        sink = None if model is None else _validate(loading, document, model, table, here)
        if sink is not None:
            sinks.append(sink)
            _claim_target(loading, document, sink, here)
    return sinks


def _kind(
    loading: _Loading,
    document: _Document,
    kinds: Mapping[str, type[M]],
    table: dict[str, Any],
    path: tuple[str | int, ...],
) -> type[M] | None:
    kind = table.get("kind")
    if isinstance(kind, str) and kind in kinds:
        return kinds[kind]
    known = ", ".join(f'"{name}"' for name in kinds)
    if kind is None:
        loading.errors.append(document.problem(path, f"kind is missing; it is one of {known}"))
    else:
        near = did_you_mean(kind, kinds) if isinstance(kind, str) else ""
        loading.errors.append(
            document.problem((*path, "kind"), f"unknown kind; it is one of {known}{near}", public=True)
        )
    return None


def _validate(
    loading: _Loading, document: _Document, model: type[M], values: dict[str, Any], path: tuple[str | int, ...]
) -> M | None:
    try:
        return model.model_validate(values, context={"directory": str(document.path.parent)})
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=True):
            where, message = explain(details, model, values)
            public = is_public(model, where)
            loading.errors.append(document.problem((*path, *where), message, public=public))
        return None


# ------------------------------------------------------------------ what concerns several tables


def _claim_target(loading: _Loading, document: _Document, sink: SinkSettings, path: tuple[str | int, ...]) -> None:
    """One file for one sink; several dotenv sinks may share one if their keys differ."""
    target = os.path.normpath(sink.target)
    keys = [key for key in (getattr(sink, "key", None), getattr(sink, "expires_key", None)) if key is not None]
    if len(set(keys)) != len(keys):
        loading.errors.append(document.problem((*path, "expires_key"), "key and expires_key are the same", public=True))
    mine: list[tuple[str, ...]] = [(target, key) for key in keys] if sink.kind == "dotenv" else [(target,)]
    # A dotenv file is claimed as a whole too, against sinks of other kinds.
    clashes = [claim for claim in mine if claim in loading.targets]
    if sink.kind == "dotenv":
        clashes += [(target,)] if (target,) in loading.targets else []
    else:
        clashes += [claim for claim in loading.targets if claim[0] == target and len(claim) > 1]
    if clashes:
        other, there = loading.targets[clashes[0]]
        first = other.problem((*there, "path"), "")
        what = f'{target} key "{clashes[0][1]}"' if len(clashes[0]) > 1 and sink.kind == "dotenv" else target
        message = f"{what} is written by another sink already: {first.file}:{first.line}"
        loading.errors.append(document.problem((*path, "path"), message, public=True))
    for claim in mine:
        loading.targets.setdefault(claim, (document, path))


def _check_targets(loading: _Loading, daemon: DaemonSettings | None) -> None:
    """A token must not overwrite what tokend itself lives on."""
    own = {os.path.normpath(document.path): "the configuration" for document in loading.origins.values()}
    for provider in loading.found.values():
        for source in provider.settings.secrets().values():
            if source.file is not None:
                loading.secret_files.add(source.file)
                own[os.path.normpath(source.file)] = "a secret's file"
    if daemon is not None:
        own[os.path.normpath(daemon.socket)] = "tokend's socket"
    for claim, (document, path) in loading.targets.items():
        inside = daemon is not None and Path(claim[0]).is_relative_to(os.path.normpath(daemon.state_directory))
        what = "inside the state directory" if inside else own.get(claim[0])
        if what is not None:
            message = f"{claim[0]} is {what}: a token must not be written there"
            loading.errors.append(document.problem((*path, "path"), message, public=True))


def _read_secrets(loading: _Loading) -> None:
    """Every secret but commands is read once: an empty or unreadable one is an error now, not at three in the night."""
    for name, provider in loading.found.items():
        document, settings = loading.origins[name], provider.settings
        revealed: dict[str, Secret] = {}
        for key, source in settings.secrets().items():
            path = ("providers", name, key)
            _judge_literal(loading, document, path, source)
            if source.command is not None:
                continue
            try:
                revealed[key] = read_secret(source, loading.environ)
            except SecretError as error:
                if key not in settings.optional_secrets():
                    loading.errors.append(document.problem(path, f"{key}: {error.detail}"))
        if (warn := getattr(settings, "warnings", None)) is not None:
            for text in warn(revealed):
                loading.warnings.append(document.problem(("providers", name), text))


def _judge_literal(loading: _Loading, document: _Document, path: tuple[str | int, ...], source: SecretSource) -> None:
    if source.literal is None:
        return
    advice = "use { file = }, { env = }, { credential = } or { command = }"
    if document.readable_by_others:
        message = f"a secret stands here and others can read this file: chmod 0600 it, or {advice}"
        loading.errors.append(document.problem(path, message))
    else:
        loading.warnings.append(document.problem(path, f"a secret stands in the file itself: {advice}"))
