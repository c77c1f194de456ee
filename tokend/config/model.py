"""The values that a valid configuration becomes."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from tokend.config.report import ConfigProblem
from tokend.settings import AnchoredPath, ProviderSettings, Settings, SinkSettings, Strings

_MODE = re.compile(r"0[0-7]{3}", re.ASCII)
# sun_path of unix(7), without the final NUL.
LONGEST_SOCKET_BYTES = 107


def _octal(value: object) -> object:
    if not isinstance(value, str) or not _MODE.fullmatch(value):
        raise ValueError('a mode is an octal string: "0660"')
    return value


class DaemonSettings(Settings):
    """The table ``[daemon]``. Where the environment decides a default, `load` has put it in."""

    socket: AnchoredPath
    socket_mode: Annotated[str, BeforeValidator(_octal)] = "0660"
    socket_group: str | None = None
    admins: Strings = ("root",)
    state_directory: AnchoredPath
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "logfmt", "json"] = "auto"
    max_connections: Annotated[int, Field(ge=1, le=65536)] = 4096
    max_connections_per_uid: Annotated[int, Field(ge=1, le=65536)] = 2500

    @field_validator("socket")
    @classmethod
    def _fits(cls, value: Path) -> Path:
        if len(os.fsencode(value)) > LONGEST_SOCKET_BYTES:
            raise ValueError(
                f"the kernel allows {LONGEST_SOCKET_BYTES} bytes for a socket's path: choose a shorter one"
            )
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
