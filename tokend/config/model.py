"""Frozen values of a valid configuration: the ``[daemon]`` table, the providers, and the whole."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from tokend.config.findings import ConfigProblem, in_status
from tokend.plugin.secret_source import SecretField, SecretSource
from tokend.plugin.settings import ProviderSettings, SinkSettings
from tokend.plugin.settings_base import AnchoredPath, Name, Settings, SocketPath, Strings
from tokend.values.status import PluginStatus, StatusWarning
from tokend.values.url import is_loopback

# Codes of the warnings that `secret_checks.secret_warnings` finds: they may change without the configuration.
SECRET_CODES = frozenset(
    {
        "doubtful_path",
        "file_unusable",
        "kind",
        "plain_http",
        "secret_exposed",
        "secret_format",
        "secret_unreadable",
        "secret_unusable",
        "target_exposed",
        "unsafe_path",
    }
)
_MODE = re.compile(r"0[0-7]{3}", re.ASCII)
# A bytes object of this length takes 48 bytes of memory; one byte more would take 64, for each provider.
TABLE_DIGEST_BYTES = 15
_ADDRESS = re.compile(r"(127\.[0-9.]+|\[::1\]):([0-9]{1,5})", re.ASCII)


def _octal(value: object) -> object:
    if not isinstance(value, str) or not _MODE.fullmatch(value):
        raise ValueError('a mode is an octal string: "0660"')
    return value


def loopback_address(value: str) -> tuple[str, int]:
    """Split a loopback address with a port into host and port. Raises ValueError for any other address."""
    match = _ADDRESS.fullmatch(value)
    if match is None or not 0 < int(match[2]) < 65536:
        raise ValueError('this is "127.0.0.1:PORT" or "[::1]:PORT": an address of this machine only, with a port')
    if not is_loopback(match[1]):
        raise ValueError(f"{match[1]} is no IP address")
    return match[1].strip("[]"), int(match[2])


def _valid_address(value: str) -> str:
    loopback_address(value)
    return value


class DaemonSettings(Settings):
    """The table ``[daemon]``. `load` fills in the defaults that depend on the environment."""

    socket: SocketPath
    socket_mode: Annotated[str, BeforeValidator(_octal)] = "0660"
    socket_group: str | None = None
    credentials_socket: SocketPath | None = None
    listen: Annotated[str, AfterValidator(_valid_address)] | None = None
    listen_secret: SecretField | None = None
    admins: Strings = ("root",)
    state: Literal["directory", "fdstore"] = "directory"
    state_directory: AnchoredPath
    state_key: SecretField | None = None
    previous_state_key: SecretField | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    audit: Literal["off", "reads"] = "off"
    log_format: Literal["auto", "console", "logfmt", "json"] = "auto"
    strict_paths: bool = False
    notify: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    plugins: Annotated[tuple[AnchoredPath, ...], Field(strict=False)] = ()
    max_connections: Annotated[int, Field(ge=1, le=65536)] = 4096
    max_connections_per_uid: Annotated[int, Field(ge=1, le=65536)] = 2500

    @field_validator("credentials_socket")
    @classmethod
    def _differs_from_socket(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and value == info.data.get("socket"):
            raise ValueError("two sockets cannot have one path")
        return value

    @field_validator("listen_secret")
    @classmethod
    def _no_command_and_no_token(cls, value: SecretSource | None) -> SecretSource | None:
        if value is not None and value.token is not None:
            raise ValueError("a token is replaced again and again, and clients keep this one: use { file = }")
        if value is not None and value.command is not None:
            raise ValueError("it is read at each request, and each client would run the command: use { file = }")
        if value is not None and value.is_read_later:
            raise ValueError("it is read at each request, and each client would ask a server: use { file = }")
        return value

    @field_validator("state_key", "previous_state_key")
    @classmethod
    def _no_token(cls, value: SecretSource | None) -> SecretSource | None:
        if value is not None and value.token is not None:
            raise ValueError("tokens are kept in the state, which this key opens: use { credential = } or { file = }")
        if value is not None and value.command is None and value.is_read_later:
            raise ValueError("it is read before all else, and waits for no server: use { credential = } or { file = }")
        return value

    @model_validator(mode="after")
    def _secret_to_listen(self) -> Self:
        if self.listen is not None and self.listen_secret is None:
            raise ValueError("listen needs listen_secret: every user of this machine can connect to a port")
        return self


class SocketSettings(Settings):
    """A table of ``[[sockets]]``: a socket beside the daemon's own that serves some tokens; for a container."""

    path: SocketPath
    tokens: Annotated[Strings, Field(min_length=1)]
    admin: bool = False
    mode: Annotated[str, BeforeValidator(_octal)] = "0660"
    owner: Name | None = None
    group: Name | None = None


def _for_status(problem: ConfigProblem) -> StatusWarning:
    """Return a warning as the status shows it: below its token, and without line and column."""
    return StatusWarning(problem.code, in_status(problem.where[2:], problem.message))


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """One provider's settings and sinks. Two are equal if no key of the provider or its sinks differs.

    ``unsafe`` says why its file is not trusted; None if it is. Such a provider makes no attempt.
    """

    name: str
    settings: ProviderSettings
    sinks: tuple[SinkSettings, ...]
    # `table_digest` of the provider's table: a reload that finds the same digest does not validate the table again.
    table: bytes = field(default=b"", compare=False, repr=False)
    unsafe: str | None = None


def digest_of(raw: bytes) -> bytes:
    """Return a digest of a file's content."""
    return hashlib.sha256(raw).digest()


def table_digest(directory: Path, table: Mapping[str, Any], vaults: bytes = b"") -> bytes:
    """Return a digest of a parsed table, of the directory that its relative paths start at, and of the vaults' tables.

    ``repr`` keeps everything that TOML can express: types, the order of keys, each bit of a float, dates and offsets.
    """
    return hashlib.blake2b(repr((str(directory), table)).encode() + vaults, digest_size=TABLE_DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Config:
    """A whole valid configuration.

    The daemon watches ``files`` (the files that were read, the main file first), ``directories`` (which can contain
    included files) and ``secret_files`` (which contain secrets). ``origins`` maps each provider's name to its file.
    ``digests`` are those of ``files``. ``include_present`` has the patterns of ``include`` whose directory exists, and
    ``include_matched`` those that match a file. ``vendor_files`` has the administrator's vendors' files that were
    read, and their directories: they are watched, too. ``plugins`` are the files of ``[daemon] plugins`` and the
    packages whose kinds are used. ``left_out`` names the required providers that a start went on without, or without
    one of their sinks, because a kind could not be loaded.
    """

    daemon: DaemonSettings
    providers: Mapping[str, ProviderConfig]
    files: tuple[Path, ...]
    directories: tuple[Path, ...]
    secret_files: tuple[Path, ...]
    warnings: tuple[ConfigProblem, ...] = ()
    sockets: tuple[SocketSettings, ...] = ()
    origins: Mapping[str, Path] = field(default_factory=dict)
    digests: tuple[bytes, ...] = field(default=(), compare=False, repr=False)
    notes: tuple[ConfigProblem, ...] = field(default=(), compare=False)
    include_present: frozenset[str] = frozenset()
    include_matched: frozenset[str] = frozenset()
    vendor_files: tuple[Path, ...] = ()
    plugins: tuple[PluginStatus, ...] = ()
    left_out: frozenset[str] = frozenset()

    @property
    def plugin_files(self) -> tuple[Path, ...]:
        """The files of the plug-ins, also of those that were not loaded. They are watched."""
        return self.daemon.plugins

    def warnings_by_provider(self, *, of_secrets: bool) -> dict[str, tuple[StatusWarning, ...]]:
        """Return the warnings about each provider for its status: those about its secrets and files, or the others."""
        found: dict[str, tuple[StatusWarning, ...]] = {}
        for problem in self.warnings:
            if problem.provider is not None and (problem.code in SECRET_CODES) == of_secrets:
                found[problem.provider] = (*found.get(problem.provider, ()), _for_status(problem))
        for name, provider in self.providers.items() if not of_secrets else ():
            if provider.unsafe is not None:
                found[name] = (StatusWarning("unsafe_path", provider.unsafe), *found.get(name, ()))
        return found

    def is_on_disk(self) -> bool:
        """Return whether the files still have the content that was read. Blocks.

        Return False if files are included or unreadable, there are plug-ins' files, or vendors are the
        administrator's: others may count now.
        """
        try:
            if self.directories or self.vendor_files or self.plugin_files:
                return False
            return self.digests == tuple(digest_of(path.read_bytes()) for path in self.files)
        except OSError:
            return False
