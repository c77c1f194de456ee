"""Users and groups that a configuration names: whether this machine knows them. Blocks, for a limited time."""

import grp
import pwd
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from tokend.config.config_files import PlacedSettings
from tokend.config.fields import Visibility
from tokend.config.findings import Findings
from tokend.plugin import toml_positions
from tokend.plugin.settings_base import Settings

# A check waits this long for a directory service, a start hardly at all: it looks the names up again while it goes on.
NAMES_SECONDS, START_NAMES_SECONDS = 5.0, 0.3
MOST_LOOKUPS = 16


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
        # Of a table without a path, ``owner`` is not that of a file: at GitHub it is an account.
        if isinstance(name := values.get(key), str) and ("path" in values or key == "socket_group"):
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

    started = 0
    with suppress(RuntimeError):  # this machine has no thread left: the names may be known
        for _ in range(min(len(names), MOST_LOOKUPS)):
            threading.Thread(target=work, name="tokend-names", daemon=True).start()
            started += 1
    unknown: set[tuple[str, str]] = set()
    deadline = time.monotonic() + (seconds if started else 0.0)
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
