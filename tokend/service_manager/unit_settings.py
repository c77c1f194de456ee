"""Settings of a unit, as `systemctl show` and `systemctl cat` print them. Blocks."""

import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tokend.values.errors import ConfigError

SECONDS = 10.0
PROPERTIES = (
    "LoadState", "User", "Group", "DynamicUser", "SupplementaryGroups", "Environment", "EnvironmentFiles", "ExecStart",
    "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "BindPaths", "ProtectSystem", "ProtectHome", "PrivateTmp",
    "RuntimeDirectory", "StateDirectory", "CacheDirectory", "LogsDirectory", "ConfigurationDirectory",
)  # fmt: skip
# systemd.exec(5): the parent of each kind of directory, for system units.
PLACES = {"RuntimeDirectory": "/run", "StateDirectory": "/var/lib", "CacheDirectory": "/var/cache",
          "LogsDirectory": "/var/log", "ConfigurationDirectory": "/etc"}  # fmt: skip
HOMES = ("/home", "/root", "/run/user")
_CREDENTIAL = re.compile(r"\s*(LoadCredential|LoadCredentialEncrypted|SetCredential|SetCredentialEncrypted)=(.*)")
_ARGV = re.compile(r"argv\[\]=(.*?) ; ignore_errors=")
_ENVIRONMENT_FILE = re.compile(r"(.+) \(ignore_errors=(yes|no)\)")


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential that the unit gets: its file (None: it stands in the unit), and whether it is encrypted."""

    path: Path | None
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class UnitSettings:
    """One unit: what decides which files its processes can read and write. ``argv`` is that of its first ExecStart=."""

    name: str
    values: Mapping[str, str]
    environment_files: tuple[tuple[Path, bool], ...] = ()
    credentials: Mapping[str, Credential] = field(default_factory=dict)

    @property
    def user(self) -> str:
        """The name or number of its user; empty is root."""
        return self.values.get("User", "")

    @property
    def group(self) -> str:
        """The name or number of its group; empty is the user's own."""
        return self.values.get("Group", "")

    @property
    def supplementary_groups(self) -> list[str]:
        """The names or numbers of its other groups."""
        return self.values.get("SupplementaryGroups", "").split()

    @property
    def argv(self) -> list[str]:
        """The command that it runs."""
        found = _ARGV.search(self.values.get("ExecStart", ""))
        return [] if found is None else shlex.split(found[1])

    def environment(self) -> dict[str, str]:
        """Return the variables that the unit sets, without those of files."""
        found = {}
        for text in shlex.split(self.values.get("Environment", "")):
            name, _, value = text.partition("=")
            found[name] = value
        for key, place in PLACES.items():
            if names := self.values.get(key, "").split():
                variable = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).upper()
                found[variable] = ":".join(f"{place}/{name}" for name in names)
        return found

    def makes(self, path: Path) -> bool:
        """Return whether systemd makes the directory that ``path`` is in, and gives it to the unit's user."""
        return _below(path, self._own_directories())

    def fault_of_write(self, path: Path) -> str | None:
        """Return why a process of the unit cannot write ``path``, with the setting that helps; None if it may."""
        if (hidden := self.fault_of_read(path)) is not None:
            return hidden
        if _below(path, self._paths("BindPaths")) or _below(path, self._paths("ReadWritePaths")):
            return None
        if self.makes(path):
            return None
        if _below(path, self._paths("ReadOnlyPaths")):
            return f"ReadOnlyPaths= of {self.name} has it"
        home = self.values.get("ProtectHome") == "read-only" and _below(path, HOMES)
        if home or _below(path, self._read_only_system()):
            setting = "ProtectHome=read-only" if home else f"ProtectSystem={self.values['ProtectSystem']}"
            return (
                f"{setting} of {self.name} makes it read-only: add ReadWritePaths={path.parent} (drop-ins/sinks.conf)"
            )
        return None

    def fault_of_read(self, path: Path) -> str | None:
        """Return why a process of the unit does not see ``path``; None if nothing hides it."""
        if _below(path, self._paths("BindPaths")):
            return None
        if self.values.get("ProtectHome") in {"yes", "tmpfs"} and _below(path, HOMES):
            return f"ProtectHome={self.values['ProtectHome']} of {self.name} hides it: set ProtectHome=no in a drop-in"
        if _below(path, self._paths("InaccessiblePaths")):
            return f"InaccessiblePaths= of {self.name} has it"
        if self.values.get("PrivateTmp") == "yes" and _below(path, ("/tmp", "/var/tmp")):  # noqa: S108
            return f"PrivateTmp=yes: {self.name} has a /tmp of its own; choose another directory"
        return None

    def _own_directories(self) -> list[str]:
        return [f"{place}/{name}" for key, place in PLACES.items() for name in self.values.get(key, "").split()]

    def _read_only_system(self) -> tuple[str, ...]:
        match self.values.get("ProtectSystem"):
            case "strict":
                return ("/",)
            case "full":
                return ("/usr", "/boot", "/efi", "/etc")
            case "yes":
                return ("/usr", "/boot", "/efi")
        return ()

    def _paths(self, key: str) -> list[str]:
        # "-" and "+" stand before a path; BindPaths= has source:destination:options.
        return [part.split(":")[0].lstrip("-+") for part in shlex.split(self.values.get(key, ""))]


def read_unit(name: str) -> UnitSettings:
    """Ask systemd about a unit of the system manager. Raises `ConfigError` if there is none, or no systemd."""
    shown = _output("show", "--no-pager", *(word for one in PROPERTIES for word in ("-p", one)), "--", name)
    values: dict[str, str] = {}
    files = []
    for line in shown.splitlines():
        key, _, value = line.partition("=")
        if key == "EnvironmentFiles":
            if found := _ENVIRONMENT_FILE.fullmatch(value):
                files.append((Path(found[1]), found[2] == "yes"))
        elif key in PROPERTIES:
            values.setdefault(key, value)
    if values.get("LoadState") != "loaded":
        raise ConfigError(
            f"unit {name}: systemd says {values.get('LoadState') or 'nothing about it'}: is it installed?"
        )
    return UnitSettings(name, values, tuple(files), _credentials(_output("cat", "--no-pager", "--", name).splitlines()))


def _credentials(lines: Iterable[str]) -> dict[str, Credential]:
    """Read the credentials from a unit's files: `systemctl show` cannot print them before version 254."""
    found: dict[str, Credential] = {}
    of_key: dict[str, set[str]] = {}
    for line in lines:
        if (match := _CREDENTIAL.fullmatch(line)) is None:
            continue
        key, text = match[1], match[2].strip()
        if not text:  # an empty assignment takes the earlier ones back
            for name in of_key.pop(key, set()):
                found.pop(name, None)
            continue
        name, _, rest = text.partition(":")
        of_key.setdefault(key, set()).add(name)
        path = Path(rest) if key.startswith("Load") and rest.startswith("/") else None
        found[name] = Credential(path, key.endswith("Encrypted"))
    return found


def _output(*arguments: str) -> str:
    try:
        done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S607
    except FileNotFoundError:
        raise ConfigError("there is no systemctl: this machine has no systemd to ask about a unit") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"systemctl {arguments[0]}: {error}") from None
    if done.returncode != 0 and not done.stdout:
        raise ConfigError(f"systemctl {arguments[0]}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout


def _below(path: Path, places: Iterable[str]) -> bool:
    return any(path.is_relative_to(place) for place in places)
