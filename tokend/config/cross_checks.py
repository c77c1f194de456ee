"""Checks of several tables together: targets, the tokens that they name, the sockets, rights, the state."""

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path

from tokend.config.config_files import Document, PlacedSettings
from tokend.config.fields import Visibility
from tokend.config.findings import Findings
from tokend.config.model import DaemonSettings
from tokend.files import real_path
from tokend.plugin.login import keeps_login_in_state, uses_login
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.secret_table import SecretTable
from tokend.plugin.settings import PART, HeldSettings, SinkSettings
from tokend.plugin.shown_text import shown
from tokend.values.near_miss import did_you_mean
from tokend.values.url import host_of

# In ``tokens`` of ``[[sockets]]``: every token.
ALL = "*"
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\0]+")
GROUP_BITS = 0o070


def check_targets(
    sinks: Iterable[PlacedSettings], inputs: Mapping[str, str], state: Path | None, findings: Findings
) -> None:
    """Report an error for each target, or part of a target, that two sinks share, and for each target that tokend uses.

    ``inputs`` maps the real path of each file that tokend reads or listens on to a description. ``state`` is the state
    directory.
    """
    taken: dict[str, _Claims] = {}
    below_state = None if state is None else real_path(state).rstrip("/") + "/"
    for sink in sinks:
        claims = [_target_and_parts(target) for target in sorted(sink.settings.exclusive_targets())]
        _check_clash(claims, sink, taken, findings)
        for target in dict.fromkeys(target for target, _ in claims):
            inside = below_state is not None and f"{target}/".startswith(below_state)
            if what := "inside the state directory" if inside else inputs.get(target) or _read_below(sink, inputs):
                message = f"{shown_target(sink.settings)} is {what}: a token must not be written there"
                findings.errors.append(sink.problem("path", message))


def _read_below(sink: PlacedSettings, inputs: Mapping[str, str]) -> str | None:
    """Return the description of a file that tokend reads and that the sink writes in its directory; None if none."""
    settings: SinkSettings = sink.settings
    if type(settings).writes_below is SinkSettings.writes_below:
        return None
    return next(
        (f"the directory of {path}, {what}" for path, what in inputs.items() if settings.writes_below(path)), None
    )


def _target_and_parts(exclusive: str) -> tuple[str, tuple[str, ...]]:
    """Split an exclusive target into the target and the way to its part. No way means the whole target."""
    target, *parts = exclusive.split(PART)
    if (url := _URL.match(target)) is not None:
        # Capital letters of the host and the default port make no other store.
        with suppress(ValueError):
            target = f"{url[1].lower()}{host_of(url[0].lower())}{target[url.end() :]}"
    return target, tuple(parts)


class _Claims:
    """The sinks of one target, by the parts that they write."""

    def __init__(self, first: PlacedSettings) -> None:
        self._first = first
        self._sinks: dict[tuple[str, ...], PlacedSettings] = {}
        # By the ways that lead to the parts.
        self._within: dict[tuple[str, ...], PlacedSettings] = {}

    def add(self, parts: tuple[str, ...], sink: PlacedSettings) -> PlacedSettings | None:
        """Add a sink's claim. Return another sink with a claim on the same part, on a part of it, or on more."""
        outer = [parts[:length] for length in range(len(parts))]
        there = [self._sinks.get(parts), self._within.get(parts), *(self._sinks.get(way) for way in outer)]
        if self._first.settings.sharing != sink.settings.sharing:
            there.append(self._first)
        self._sinks.setdefault(parts, sink)
        for way in outer:
            self._within.setdefault(way, sink)
        return next((other for other in there if other is not None and other is not sink), None)


def _check_clash(
    claims: Iterable[tuple[str, tuple[str, ...]]],
    sink: PlacedSettings,
    taken: dict[str, _Claims],
    findings: Findings,
) -> None:
    """Report the first of the sink's claims that clashes with an earlier sink's. ``taken`` has the claims by target."""
    reported = False
    for target, parts in claims:
        other = taken.setdefault(target, _Claims(sink)).add(parts, sink)
        if other is not None and not reported:
            reported = True
            is_shared = other.settings.sharing == sink.settings.sharing
            name, key = shown_target(sink.settings), "/".join(shown(part) for part in parts)
            what = f'{name} key "{key}"' if is_shared and key else name
            first = f"{other.document.path}:{other.document.line((*other.path, 'path'))}"
            findings.errors.append(sink.problem("path", f"{what} is written by another sink already: {first}"))


def shown_target(sink: SinkSettings) -> str:
    """Return a sink's target for a message: a path as it is, another name without what looks like a secret."""
    return shown(sink.target) if sink.file_path is None else sink.target


def files_read(
    documents: Iterable[Document], tables: Iterable[PlacedSettings], daemon: DaemonSettings | None
) -> dict[str, str]:
    """Return the files that tokend reads or listens on: the real path of each, and a description."""
    found = {real_path(document.path): "the configuration" for document in documents}
    if daemon is not None:
        found[real_path(daemon.socket)] = "tokend's socket"
        if daemon.credentials_socket is not None:
            found[real_path(daemon.credentials_socket)] = "tokend's socket for credentials"
        for key in ("listen_secret", "state_key", "previous_state_key"):
            source: SecretSource | None = getattr(daemon, key)
            for path in () if source is None else source.files:
                found[real_path(path)] = f"read by tokend ({key})"
    for table in tables:
        written = table.settings.file_path if isinstance(table.settings, SinkSettings) else None
        for key, value in table.settings.__dict__.items():
            places = value.values() if isinstance(value, SecretTable) else (value,)
            for path in chain.from_iterable(one.files if isinstance(one, SecretSource) else (one,) for one in places):
                if isinstance(path, Path) and path is not written:
                    found[real_path(path)] = f"read by tokend ({key})"
                    if path.is_symlink():  # a name in a sink's directory is a link, which the next set moves
                        found[f"{real_path(path.parent)}/{path.name}"] = f"read by tokend ({key})"
    return found


def check_tokens(
    sinks: Iterable[PlacedSettings], origins: Mapping[str, object], on_demand: Collection[str], findings: Findings
) -> None:
    """Report an error for each entry of a sink's ``tokens`` that names no provider, or an on-demand provider."""
    for sink in sinks:
        for index, name in enumerate(sink.settings.other_tokens()):
            if name not in origins:
                message = f'there is no provider "{shown(name)}"{did_you_mean(name, origins)}'
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
                message = f'there is no provider "{shown(name)}"{did_you_mean(name, origins)}; "{ALL}" is every token'
                where = (*place.path, "tokens", index)
                findings.errors.append(place.document.problem(where, message, visibility=Visibility.PUBLIC))


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
    """Report an error if ``state = "fdstore"`` and the login of a provider is kept in no login file.

    systemd's file-descriptor store does not outlive a stop of the service. If a rotating credential is lost, a person
    must log in again.
    """
    if daemon.settings.state != "fdstore":
        return
    for provider in providers:
        settings, name = provider.settings, provider.path[-1]
        if not isinstance(settings, HeldSettings):
            continue
        if keeps_login_in_state(settings):
            message = f'{name} has a login, which a stop would lose: give it a login_file, or write state = "directory"'
        elif settings.rotates and not uses_login(settings):
            message = f'{name} has a login that rotates, which a stop would lose: state = "directory"'
        else:
            continue
        findings.errors.append(daemon.problem("state", message))
