"""Checks of several tables together, and of this machine: targets, secrets, files, users and groups."""

import grp
import pwd
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tokend.config import toml_positions
from tokend.config.config_files import Document
from tokend.config.fields import Visibility, secret_fields
from tokend.config.findings import ConfigProblem, Findings, did_you_mean
from tokend.config.model import DaemonSettings
from tokend.config.secret_checks import Finding, findings_of, inspect_all, of_command, of_secrets
from tokend.files import real_path
from tokend.plugin.field_roles import fields_that_may_be_absent, fields_without_secret
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import PART, HeldSettings, ProviderSettings, SinkSettings
from tokend.plugin.settings_base import Settings
from tokend.values.secret import Secret

# In ``tokens`` of ``[[sockets]]``: every token.
ALL = "*"
# A shorter secret of the loopback port could be guessed.
LEAST_LISTEN_SECRET_BYTES = 32
GROUP_BITS = 0o070
# A check waits this long for a directory service, a start hardly at all: it looks the names up again while it goes on.
NAMES_SECONDS, START_NAMES_SECONDS = 5.0, 0.3
MOST_LOOKUPS = 16
ELSEWHERE = "use { file = }, { env = }, { credential = } or { command = }"


@dataclass(frozen=True, slots=True)
class PlacedSettings:
    """A table's settings, its document, and its path in the document."""

    settings: Any
    document: Document
    path: toml_positions.Path

    def problem(self, key: str, message: str, code: str = "config") -> ConfigProblem:
        """Return a problem at one of the table's keys. The key's value may be shown."""
        return self.document.problem((*self.path, key), message, visibility=Visibility.PUBLIC, code=code)


# ------------------------------------------------------------------ targets


def check_targets(
    sinks: Iterable[PlacedSettings], inputs: Mapping[str, str], state: Path | None, findings: Findings
) -> None:
    """Report an error for each target, or part of a target, that two sinks share, and for each target that tokend uses.

    ``inputs`` maps the real path of each file that tokend reads or listens on to a description. ``state`` is the state
    directory.
    """
    taken: dict[str, dict[str, PlacedSettings]] = {}
    below_state = None if state is None else real_path(state).rstrip("/") + "/"
    for sink in sinks:
        claims = [_target_and_part(target) for target in sorted(sink.settings.exclusive_targets())]
        _check_clash(claims, sink, taken, findings)
        for target in dict.fromkeys(target for target, _ in claims):
            inside = below_state is not None and f"{target}/".startswith(below_state)
            if what := "inside the state directory" if inside else inputs.get(target):
                message = f"{sink.settings.target} is {what}: a token must not be written there"
                findings.errors.append(sink.problem("path", message))


def _target_and_part(exclusive: str) -> tuple[str, str]:
    """Split an exclusive target into the target and its part. The part "" means the whole target."""
    target, _, part = exclusive.partition(PART)
    return target, part


def _check_clash(
    claims: Iterable[tuple[str, str]],
    sink: PlacedSettings,
    taken: dict[str, dict[str, PlacedSettings]],
    findings: Findings,
) -> None:
    """Report the first of the sink's claims that clashes with an earlier sink's. A whole target clashes with each part.

    ``taken`` maps each target to its parts and their sinks; the claims are added to it.
    """
    reported = False
    for target, part in claims:
        parts = taken.setdefault(target, {})
        clash = part if part in parts else "" if "" in parts else next(iter(parts), None) if not part else None
        if clash is not None and parts[clash] is not sink and not reported:
            other, reported = parts[clash], True
            what = f'{sink.settings.target} key "{part}"' if clash and part else sink.settings.target
            first = f"{other.document.path}:{other.document.line((*other.path, 'path'))}"
            findings.errors.append(sink.problem("path", f"{what} is written by another sink already: {first}"))
        parts.setdefault(part, sink)


def files_read(
    documents: Iterable[Document], tables: Iterable[PlacedSettings], daemon: DaemonSettings | None
) -> dict[str, str]:
    """Return the files that tokend reads or listens on: the real path of each, and a description."""
    found = {real_path(document.path): "the configuration" for document in documents}
    if daemon is not None:
        found[real_path(daemon.socket)] = "tokend's socket"
        if daemon.credentials_socket is not None:
            found[real_path(daemon.credentials_socket)] = "tokend's socket for credentials"
        if daemon.listen_secret is not None and daemon.listen_secret.file is not None:
            found[real_path(daemon.listen_secret.file)] = "read by tokend (listen_secret)"
    for table in tables:
        written = table.settings.file_path if isinstance(table.settings, SinkSettings) else None
        for key, value in table.settings.__dict__.items():
            path = value.file if isinstance(value, SecretSource) else value
            if isinstance(path, Path) and path is not written:
                found[real_path(path)] = f"read by tokend ({key})"
    return found


def check_tokens(
    sinks: Iterable[PlacedSettings], origins: Mapping[str, object], on_demand: Collection[str], findings: Findings
) -> None:
    """Report an error for each entry of a sink's ``tokens`` that names no provider, or an on-demand provider."""
    for sink in sinks:
        for index, name in enumerate(sink.settings.other_tokens()):
            if name not in origins:
                message = f'there is no provider "{name}"{did_you_mean(name, origins)}'
            elif name in on_demand:
                message = f"{name} is issued on demand: there is no token of it to write"
            else:
                continue
            place = (*sink.path, "tokens", index)
            findings.errors.append(sink.document.problem(place, message, visibility=Visibility.PUBLIC))


def check_sockets(
    sockets: Iterable[PlacedSettings], inputs: dict[str, str], origins: Mapping[str, object], findings: Findings
) -> None:
    """Report an error for each of ``[[sockets]]`` whose path is in use, or whose ``tokens`` name no provider.

    The paths are added to ``inputs``, the result of `files_read`, so that no sink writes there.
    """
    for place in sockets:
        path = real_path(place.settings.path)
        if path in inputs:
            findings.errors.append(
                place.problem("path", f"{place.settings.path} is {inputs[path]}: choose another path")
            )
        inputs.setdefault(path, "a socket of [[sockets]]")
        for index, name in enumerate(place.settings.tokens):
            if name != ALL and name not in origins:
                message = f'there is no provider "{name}"{did_you_mean(name, origins)}; "{ALL}" is every token'
                where = (*place.path, "tokens", index)
                findings.errors.append(place.document.problem(where, message, visibility=Visibility.PUBLIC))


# ------------------------------------------------------------------ secrets


def check_secrets(table: PlacedSettings, environ: Mapping[str, str], findings: Findings) -> None:
    """Read every secret of a provider or a sink once, except commands, and inspect them and the files for TLS.

    An unreadable secret is an error only if the settings need it (`missing_secrets`). At a start it is a warning: the
    provider or the sink fails until it can be read. Add the kind's own warnings.
    """
    settings: ProviderSettings | SinkSettings = table.settings
    for finding in findings_of(settings, environ):
        _report(table, finding, findings)
    _report_literals(table, settings.secrets(), fields_without_secret(type(settings)), findings)
    _check_proxy(table, findings)


def check_listen_secret(daemon: PlacedSettings, environ: Mapping[str, str], findings: Findings) -> None:
    """Read ``listen_secret``, the one secret of ``[daemon]``; report an error if it is unreadable or short.

    Every user of the machine may connect to the port, and guess. At a start it is a warning: the port stays closed.
    """
    source: SecretSource | None = daemon.settings.listen_secret
    if source is not None:
        sources = {"listen_secret": source}
        inspected = inspect_all(sources, environ)
        for finding in of_secrets(inspected, frozenset(sources)):
            _report(daemon, finding, findings)
        _report_literals(daemon, sources, frozenset(), findings)
        for secret in (one.secret for one in inspected.values() if one.secret is not None):
            if (length := len(secret.reveal_bytes())) < LEAST_LISTEN_SECRET_BYTES:
                message = (
                    f"listen_secret: it has {length} bytes, and at least {LEAST_LISTEN_SECRET_BYTES} are needed: "
                    "every user of this machine can connect and guess. openssl rand -hex 32 makes one"
                )
                path = (*daemon.path, "listen_secret")
                findings.of_this_machine(daemon.document.problem(path, message, visibility=Visibility.PLACES))


def check_notify(daemon: PlacedSettings, findings: Findings) -> None:
    """Report an error if somebody else could change the program of ``notify``."""
    for finding in of_command("notify", daemon.settings.notify):
        _report(daemon, finding, findings)


def check_secrets_of_invalid(
    model: type[ProviderSettings | SinkSettings],
    values: Mapping[str, Any],
    place: PlacedSettings,
    environ: Mapping[str, str],
    findings: Findings,
) -> None:
    """Check the secrets of a table that has other errors, so that all errors are reported at once.

    Secrets whose own table is invalid are skipped: their errors are reported already.
    """
    sources: dict[str, SecretSource] = {}
    context = {"directory": str(place.document.path.parent)}
    for key in secret_fields(model):
        value = values.get(key)
        if isinstance(value, str):
            sources[key] = SecretSource(literal=Secret(value))
        elif isinstance(value, dict):
            try:
                sources[key] = SecretSource.model_validate(value, context=context)
            except ValidationError:
                continue
    # An optional secret may replace the others: only valid settings can say which secrets are missing.
    missing = frozenset() if fields_that_may_be_absent(model) & values.keys() else frozenset(sources)
    harmless = fields_without_secret(model)
    for finding in of_secrets(inspect_all(sources, environ, harmless), missing):
        _report(place, finding, findings)
    _report_literals(place, sources, harmless, findings)


def _report(place: PlacedSettings, finding: Finding, findings: Findings) -> None:
    path = place.path if finding.key is None else (*place.path, finding.key)
    code, message = finding.warning.code, finding.warning.message
    visibility = Visibility.PUBLIC if finding.is_shown else Visibility.PLACES
    problem = place.document.problem(path, message, visibility=visibility, code=code)
    if findings.in_shell and finding.is_of_unit:
        note = f"{finding.key} is a credential of the unit, which a shell has not: tokend check --unit tokend.service"
        findings.notes.append(replace(problem, message=f"{note} reads it"))
    elif finding.is_of_text:
        findings.errors.append(problem)
    elif finding.is_error:
        findings.of_this_machine(problem)
    else:
        findings.warnings.append(problem)


def _report_literals(
    place: PlacedSettings, sources: Mapping[str, SecretSource], harmless: frozenset[str], findings: Findings
) -> None:
    """Report an error for each secret that stands in a file that others can read, else a warning."""
    for key, source in sources.items():
        path = (*place.path, key)
        if source.literal is None or key in harmless:
            continue
        if place.document.readable_by_others:
            message = f"a secret stands here and others can read this file: chmod 0600 it, or {ELSEWHERE}"
            findings.errors.append(place.document.problem(path, message))
        else:
            message = f"a secret stands in the file itself: {ELSEWHERE}"
            findings.warnings.append(place.document.problem(path, message, code="literal_secret"))


def _check_proxy(provider: PlacedSettings, findings: Findings) -> None:
    proxy = provider.settings.__dict__.get("proxy")
    if proxy is not None and "@" in proxy and provider.document.readable_by_others:
        message = "the proxy's password stands here and others can read this file: chmod 0600 it"
        findings.errors.append(provider.document.problem((*provider.path, "proxy"), message))


# ------------------------------------------------------------------ names


def check_group_modes(sinks: Iterable[PlacedSettings], findings: Findings) -> None:
    """Report an error for each file whose mode gives rights to a group that the sink does not name.

    The daemon's own group is no answer: under the unit it has every client as a member. Sockets are exempt: `access`
    decides about each connection.
    """
    for sink in sinks:
        settings: SinkSettings = sink.settings
        mode, group = settings.__dict__.get("mode"), settings.__dict__.get("group")
        if settings.family == "pushed" and group is None and isinstance(mode, str) and int(mode, 8) & GROUP_BITS:
            message = f'mode {mode} gives rights to a group, and none is named: add group = "…", or use mode "0600"'
            problem = sink.document.problem(
                (*sink.path, "mode"), message, visibility=Visibility.PUBLIC, code="mode_without_group"
            )
            findings.of_this_machine(problem)


def check_state(daemon: PlacedSettings, providers: Iterable[PlacedSettings], findings: Findings) -> None:
    """Report an error if ``state = "fdstore"`` and a provider's login rotates.

    systemd's file-descriptor store does not outlive a stop of the service. If a rotating credential is lost, a person
    must log in again.
    """
    if daemon.settings.state == "fdstore":
        for provider in providers:
            if isinstance(provider.settings, HeldSettings) and provider.settings.rotates:
                message = f'{provider.path[-1]} has a login that rotates, which a stop would lose: state = "directory"'
                findings.errors.append(daemon.problem("state", message))


def check_names(daemon: PlacedSettings | None, tables: Iterable[PlacedSettings], findings: Findings) -> None:
    """Warn about users and groups that this machine does not know. No error: the file may be for another machine.

    Without ``socket_group`` no program could reach the socket: an unknown one is an error of a check and of a reload.
    A start fails when the socket is made, and systemd repeats it: the directory service may be late.
    """
    all_tables = [*([daemon] if daemon is not None else []), *tables]
    names = {(kind, name) for table in all_tables for _, name, kind in _names(table.settings) if not name.isdigit()}
    unknown = _unknown(names, seconds=START_NAMES_SECONDS if findings.starting else NAMES_SECONDS)
    for table in all_tables:
        for path, name, kind in _names(table.settings):
            if (kind, name) in unknown:
                message = f'there is no {kind} "{name}" on this machine'
                place = (*table.path, *path)
                problem = table.document.problem(place, message, visibility=Visibility.PUBLIC, code="unknown_name")
                if path == ("socket_group",):
                    findings.of_this_machine(problem)
                else:
                    findings.warnings.append(problem)


def _names(settings: Settings) -> Iterable[tuple[toml_positions.Path, str, str]]:
    # A dictionary's get is twenty times as fast as getattr on a model that lacks the attribute.
    values = settings.__dict__
    for key, kind in (("owner", "user"), ("group", "group"), ("socket_group", "group")):
        if isinstance(name := values.get(key), str):
            yield (key,), name, kind
    for index, name in enumerate(values.get("admins", ())):
        yield ("admins", index), name, "user"
    for index, reader in enumerate(values.get("readers", ())):
        kind, _, name = reader.partition(":")
        yield ("readers", index), name, kind
    if (access := values.get("access")) is not None:
        for index, name in enumerate(access.users):
            yield ("access", "users", index), name, "user"
        for index, name in enumerate(access.groups):
            yield ("access", "groups", index), name, "group"


def _unknown(names: Collection[tuple[str, str]], *, seconds: float) -> Collection[tuple[str, str]]:
    """Return the names that this machine does not know. A name that takes longer than ``seconds`` in all may be known.

    Each is looked up in a thread: a directory service may take seconds for one, or never answer.
    """
    waiting: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[tuple[str, str], bool]] = queue.SimpleQueue()
    for name in sorted(names):
        waiting.put(name)

    def work() -> None:
        with suppress(queue.Empty):
            while True:
                name = waiting.get_nowait()
                answers.put((name, _is_known(*name)))

    for _ in range(min(len(names), MOST_LOOKUPS)):
        threading.Thread(target=work, name="tokend-names", daemon=True).start()
    unknown, deadline = set(), time.monotonic() + seconds
    with suppress(queue.Empty):
        for _ in names:
            name, is_known = answers.get(timeout=max(0.0, deadline - time.monotonic()))
            if not is_known:
                unknown.add(name)
    return unknown


def _is_known(kind: str, name: str) -> bool:
    look: Callable[[str], object] = pwd.getpwnam if kind == "user" else grp.getgrnam
    try:
        look(name)
    except (KeyError, ValueError):
        return False
    return True
