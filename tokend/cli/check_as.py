"""``tokend check --user`` and ``--unit``: the check as the user, and with the settings, that the daemon will have."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tokend.cli.as_user import Identity, identity_of, run_as

if TYPE_CHECKING:
    from tokend.config import Config, ConfigProblem
    from tokend.service_manager.unit_settings import Credential, UnitSettings

# In memory where there is such a directory, as systemd keeps credentials.
MEMORY = Path("/dev/shm")  # noqa: S108
DECRYPT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check: what a configuration has wrong, and as much of it as the output shows."""

    file: str
    providers: int
    errors: "tuple[ConfigProblem, ...]"
    warnings: "tuple[ConfigProblem, ...]" = ()
    notes: tuple[str, ...] = ()


def check_as_user(file: str | None, name: str) -> Report:
    """Check as this user: its files are readable, and its sinks can be written. Raises `ConfigError`."""
    return _check(_place(file, os.environ), os.environ, _identity(name), None, ())


def check_unit(file: str | None, name: str) -> Report:
    """Check with the user, the variables, the credentials and the paths of a unit. Raises `ConfigError`."""
    from tokend.service_manager.unit_settings import read_unit

    unit = read_unit(name)
    identity = _identity(unit.user or "root", unit.group, unit.supplementary_groups)
    environ = {"PATH": os.environ.get("PATH", os.defpath), **variables_of(unit)}
    with _credentials(unit.credentials, identity) as (directory, notes):
        environ |= {"CREDENTIALS_DIRECTORY": str(directory)}
        return _check(_place(file or _config_of(unit), environ, identity.uid), environ, identity, unit, notes)


def _check(
    path: Path, environ: Mapping[str, str], identity: Identity, unit: "UnitSettings | None", notes: tuple[str, ...]
) -> Report:
    from tokend.values.errors import ConfigError

    if identity.is_ours:
        return _report(path, environ, identity, unit, notes)
    if os.geteuid() != 0:
        raise ConfigError(f"only root can check as {identity.name}: use sudo")
    with suppress(Exception):
        # The user may not be able to read this program: everything that the check needs is imported by a first one.
        _report(path, environ, identity, unit, notes)
    return run_as(identity, lambda: _report(path, environ, identity, unit, notes))


def _report(
    path: Path, environ: Mapping[str, str], identity: Identity, unit: "UnitSettings | None", notes: tuple[str, ...]
) -> Report:
    """Load the configuration as the user of this process, and look at what no load looks at."""
    from tokend.config import InvalidConfigError
    from tokend.config.findings import in_order
    from tokend.kinds import load_config
    from tokend.values.errors import ConfigError

    errors: list[ConfigProblem] = []
    in_shell = "CREDENTIALS_DIRECTORY" not in environ
    try:
        try:
            config = load_config(path, environ=environ, in_shell=in_shell)
        except InvalidConfigError as error:
            errors += error.errors
            # With what a start needs, the sinks can be checked beside the errors.
            config = load_config(path, environ=environ, in_shell=in_shell, starting=True)
    except InvalidConfigError:
        return Report(str(path), 0, tuple(errors), notes=notes)
    except ConfigError as error:
        return Report(str(path), 0, (_problem(path, str(error)),), notes=notes)
    errors += _faults(config, identity, unit)
    notes += tuple(note.headline for note in config.notes)
    return Report(str(config.files[0]), len(config.providers), in_order(errors), config.warnings, notes)


def _faults(config: "Config", identity: Identity, unit: "UnitSettings | None") -> "Iterator[ConfigProblem]":
    """Yield what the user cannot read or write, each at its line."""
    for path in (*config.files, *config.secret_files):
        if unit is not None and (hidden := unit.fault_of_read(path)) is not None:
            yield _problem(path, f"{path}: {hidden}")
    for name, provider in config.providers.items():
        for index, sink in enumerate(provider.sinks):
            if sink.file_path is None:
                continue
            why = _fault_of_sink(sink, identity, unit)
            if why is not None:
                yield _at_sink(config, name, index, f"{sink.target}: {why}")


def _fault_of_sink(sink: object, identity: Identity, unit: "UnitSettings | None") -> str | None:
    """Return why a file sink could not be written by this process, or None."""
    from tokend.files.advice import advice_on
    from tokend.files.ownership import OwnershipError
    from tokend.values.errors import SinkError

    written: Path = sink.file_path  # type: ignore[attr-defined]  # a sink of the file family
    path = Path(os.path.realpath(written))
    if unit is not None and (forbidden := unit.fault_of_write(path)) is not None:
        return forbidden
    if unit is not None and unit.makes(path):
        return None  # at the start
    if unit is None and path.is_relative_to("/run") and not path.parent.exists():
        return None  # the unit's RuntimeDirectory= may make it
    if not path.parent.exists():
        return f"directory {path.parent} does not exist, or {identity.name} may not see it"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        advice = advice_on(PermissionError(13, "Permission denied"), path)
        return advice or f"user {identity.name} may not write to {path.parent}"
    try:
        wanted = sink.ownership()  # type: ignore[attr-defined]
    except (AttributeError, SinkError) as error:
        return str(error) if isinstance(error, SinkError) else None
    if wanted.gid is not None and os.geteuid() != 0 and wanted.gid not in {os.getegid(), *os.getgroups()}:
        return advice_on(OwnershipError(1, "Operation not permitted"), path, gid=wanted.gid) or None
    if wanted.uid is not None and os.geteuid() not in {0, wanted.uid}:
        return f"only root may give a file away, and the daemon runs as {identity.name}: leave out owner"
    return None


def _at_sink(config: "Config", name: str, index: int, message: str) -> "ConfigProblem":
    from tokend.config.config_files import read_document
    from tokend.config.fields import Visibility
    from tokend.config.findings import Findings
    from tokend.config.toml_messages import Vocabulary

    path = config.origins[name]
    document = read_document(path, Findings(), lambda: Vocabulary(frozenset(), frozenset()), reloading=False)
    if document is None:
        return _problem(path, message)
    return document.problem(("providers", name, "sinks", index, "path"), message, visibility=Visibility.PUBLIC)


def _problem(path: Path, message: str) -> "ConfigProblem":
    from tokend.config import ConfigProblem

    return ConfigProblem(str(path), 1, 1, message)


def _identity(user: str, group: str = "", more: list[str] | None = None) -> Identity:
    from tokend.values.errors import ConfigError

    try:
        return identity_of(user, group, more or ())
    except (KeyError, ValueError, OverflowError):
        names = ", ".join(filter(None, (user, group, *(more or ()))))
        raise ConfigError(f"this machine does not know each user and group of: {names}") from None


def _place(file: str | None, environ: Mapping[str, str], uid: int | None = None) -> Path:
    """Return the configuration that the daemon would read. Its absence is reported by the check itself."""
    from tokend.config.paths import config_path

    explicit = None if file is None else Path(file)
    return config_path(explicit, environ=environ, uid=os.getuid() if uid is None else uid)[0].absolute()


def _config_of(unit: "UnitSettings") -> str | None:
    """Return the configuration that the unit's command names."""
    words = unit.argv
    for number, word in enumerate(words):
        if word.startswith("--config="):
            return word.partition("=")[2]
        if word == "--config" and number + 1 < len(words):
            return words[number + 1]
    return None


def variables_of(unit: "UnitSettings") -> dict[str, str]:
    """Return the unit's variables, those of its files included, which only root may be able to read.

    Raises `ConfigError` if a file cannot be read, unless the unit says that it may be missing.
    """
    from tokend.values.errors import ConfigError

    found = unit.environment()
    for path, optional in unit.environment_files:
        try:
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            if optional:
                continue
            raise ConfigError(f"{unit.name}: EnvironmentFile {path}: {error.strerror}") from None
        for line in text.splitlines():
            name, equals, value = line.strip().partition("=")
            if equals and not name.startswith(("#", ";")):
                found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


@contextmanager
def _credentials(credentials: "Mapping[str, Credential]", identity: Identity) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Lay out the credentials as systemd does: files that only the user can read, removed at the end."""
    notes = []
    directory = Path(tempfile.mkdtemp(prefix="tokend-check-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        for name, credential in credentials.items():
            content = _content(name, credential)
            if credential.path is not None and not credential.path.exists():
                notes.append(f"credential {name}: the unit loads it from {credential.path}, which does not exist")
                continue
            if content is None:
                notes.append(f"credential {name} of the unit could not be read here and was not checked")
                # Its place is taken, so that it does not count as missing.
                content = b"not-checked-" * 8
            place = directory / name
            place.write_bytes(content)
            place.chmod(0o400)
            if not identity.is_ours:
                os.chown(place, identity.uid, identity.gid)
        if not identity.is_ours:
            os.chown(directory, identity.uid, identity.gid)
        yield directory, tuple(notes)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _content(name: str, credential: "Credential") -> bytes | None:
    if credential.path is None:
        return None
    if not credential.encrypted:
        try:
            return credential.path.read_bytes()
        except OSError:
            return None
    try:
        command = ["systemd-creds", "decrypt", f"--name={name}", str(credential.path), "-"]
        done = subprocess.run(command, capture_output=True, timeout=DECRYPT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
