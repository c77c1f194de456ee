"""The values that a valid configuration becomes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from tokend.config.report import ConfigProblem
from tokend.settings import AnchoredPath, ProviderSettings, Settings, SinkSettings, SocketPath, Strings

_MODE = re.compile(r"0[0-7]{3}", re.ASCII)


def _octal(value: object) -> object:
    if not isinstance(value, str) or not _MODE.fullmatch(value):
        raise ValueError('a mode is an octal string: "0660"')
    return value


class DaemonSettings(Settings):
    """The table ``[daemon]``. Where the environment decides a default, `load` has put it in."""

    socket: SocketPath
    socket_mode: Annotated[str, BeforeValidator(_octal)] = "0660"
    socket_group: str | None = None
    credentials_socket: SocketPath | None = None
    admins: Strings = ("root",)
    state: Literal["directory", "fdstore"] = "directory"
    state_directory: AnchoredPath
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "logfmt", "json"] = "auto"
    max_connections: Annotated[int, Field(ge=1, le=65536)] = 4096
    max_connections_per_uid: Annotated[int, Field(ge=1, le=65536)] = 2500

    @field_validator("credentials_socket")
    @classmethod
    def _apart(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and value == info.data.get("socket"):
            raise ValueError("two sockets cannot have one path")
        return value


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """One provider's table: equal if nothing about it changed."""

    name: str
    settings: ProviderSettings
    sinks: tuple[SinkSettings, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """A whole valid configuration.

    ``files`` were read (the main one first), ``directories`` are those of include patterns, ``secret_files`` those that
    secrets come from: all worth watching. ``origins`` tells which file each provider stands in.
    """

    daemon: DaemonSettings
    providers: Mapping[str, ProviderConfig]
    files: tuple[Path, ...]
    directories: tuple[Path, ...]
    secret_files: tuple[Path, ...]
    warnings: tuple[ConfigProblem, ...] = ()
    origins: Mapping[str, Path] = field(default_factory=dict)
