"""Checks of the secrets and other files that a table names: whether they can be read and used, and by whom. Blocks.

`load` reports the findings with their places in the document. `secret_warnings` finds them again for the status of a
running daemon, when a secret has changed and the configuration has not.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from tokend.config.config_files import Document, one_line
from tokend.config.fields import known_keys
from tokend.config.findings import ConfigProblem, Findings, in_status
from tokend.config.model import ProviderConfig
from tokend.files import Level, trusted
from tokend.plugin.connection_settings import ConnectionSettings
from tokend.plugin.field_roles import fields_without_secret
from tokend.plugin.secret_inspection import Inspected, inspect_secret
from tokend.plugin.secret_reading import files_of
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import ProviderSettings, SinkSettings
from tokend.plugin.tls_settings import TlsSettings
from tokend.values.errors import NoCredentialsError, UnsafePathError
from tokend.values.secret import Secret
from tokend.values.status import StatusWarning
from tokend.values.url import is_metadata_server

if TYPE_CHECKING:
    from tokend.plugin.vault_settings import VaultSettings

# The code of a kind's own warnings.
OF_KIND = "kind"
# The key that a warning of a kind is about, and its value: request.encoding = "query": …
_KEY = re.compile(r'([a-z][a-z0-9_]*(?:\.[^.\s:]+)*)(?: = "[^"]*")?: ')


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one key of a table; None: with the table. ``is_error`` at a check and at a reload.

    ``is_of_text``: an error of the configuration's text, which ends a start, too. ``is_shown``: the key's value may be
    shown, because it is a path or a URL. ``is_of_unit``: the secret is a credential, and this process has none: a check
    in a shell cannot read it.
    """

    key: str | None
    warning: StatusWarning
    is_error: bool = False
    is_of_text: bool = False
    is_shown: bool = False
    is_of_unit: bool = False


def findings_of(
    settings: "ProviderSettings | SinkSettings | VaultSettings", environ: Mapping[str, str]
) -> Iterator[Finding]:
    """Inspect the secrets and the files of one provider, sink or vault."""
    inspected = inspect_all(settings.secrets(), environ, fields_without_secret(type(settings)))
    unreadable = frozenset(key for key, one in inspected.items() if one.error is not None)
    yield from of_secrets(inspected, settings.missing_secrets(unreadable))
    revealed = {key: one.secret for key, one in inspected.items() if one.secret is not None}
    if isinstance(settings, ProviderSettings):
        yield from _of_unusable(settings, inspected, revealed)
    yield from _of_paths(settings)
    if isinstance(settings, ConnectionSettings):
        yield from _of_upstream(settings)
    if isinstance(settings, TlsSettings):
        yield from _of_tls_files(settings)
    if isinstance(settings, SinkSettings) and (exposed := settings.exposure()) is not None:
        yield Finding("path", StatusWarning("target_exposed", exposed), is_shown=True)
    if (warn := getattr(settings, "warnings", None)) is not None:
        for text in warn(revealed):
            yield Finding(_key_of(text, settings), StatusWarning(OF_KIND, text))


def _key_of(text: str, settings: BaseModel) -> str | None:
    """Return the path of the key that a kind's warning begins with, as in ``request.url: …``; None if with none."""
    found = _KEY.match(text)
    key = None if found is None else found[1]
    return key if key is not None and key.partition(".")[0] in known_keys(type(settings), ()) else None


def inspect_all(
    sources: Mapping[str, SecretSource], environ: Mapping[str, str], harmless: frozenset[str] = frozenset()
) -> dict[str, Inspected]:
    """Inspect secrets by key; the ``harmless`` keys hold no secret."""
    return {key: inspect_secret(key, one, environ, confidential=key not in harmless) for key, one in sources.items()}


def of_secrets(inspected: Mapping[str, Inspected], missing: frozenset[str]) -> Iterator[Finding]:
    """Return the findings about secrets. ``missing`` are the unreadable ones that the settings need."""
    for key, one in inspected.items():
        if isinstance(one.error, UnsafePathError):
            yield Finding(key, StatusWarning("unsafe_path", f"{key}: {one.error.detail}"), is_error=True)
        elif one.error is not None and key in missing:
            yield Finding(
                key,
                StatusWarning("secret_unreadable", f"{key}: {one.error.detail}"),
                is_error=True,
                is_of_text=one.is_literal,
                is_of_unit=isinstance(one.error, NoCredentialsError),
            )
        for warning in one.warnings:
            yield Finding(key, warning)


def _of_unusable(
    settings: ProviderSettings, inspected: Mapping[str, Inspected], revealed: Mapping[str, Secret]
) -> Iterator[Finding]:
    """Return the findings about secrets that can be read, and that no token can be got with."""
    for key, text in settings.unusable_secrets(revealed).items():
        warning = StatusWarning("secret_unusable", f"{key}: {settings.secrets()[key]}: {text}")
        yield Finding(key, warning, is_error=True, is_of_text=inspected[key].is_literal)


def secret_warnings(provider: ProviderConfig, environ: Mapping[str, str] = os.environ) -> tuple[StatusWarning, ...]:
    """Inspect the secrets and files of a provider and of its sinks; return what its status shows of them."""
    found = [one.warning for one in findings_of(provider.settings, environ)]
    for index, sink in enumerate(provider.sinks):
        found += [_of_sink(index, one) for one in findings_of(sink, environ)]
    return tuple(found)


def check_documents(main: Document, included: Iterable[Document], findings: Findings) -> None:
    """Judge the paths of the configuration files. An unsafe main file is an error at a start, too."""
    for document in (main, *included):
        with suppress(OSError):
            found = trusted(document.path, foreign=Level.UNSAFE)
            unsafe = found.level is Level.UNSAFE
            message = f"this file is at {'an unsafe' if unsafe else 'a doubtful'} path: {found.reason}"
            code = "unsafe_path" if unsafe else "doubtful_path"
            problem = ConfigProblem(str(document.path), 1, 1, one_line(message), code=code)
            if found.level is Level.DOUBTFUL:
                findings.warnings.append(problem)
            elif unsafe and document is main:
                findings.errors.append(problem)
            elif unsafe:
                findings.of_this_machine(problem)


def secret_files(providers: Mapping[str, ProviderConfig], environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files with secrets, and the templates: their changes count at once. Commands have none."""
    found: dict[Path, None] = {}
    for provider in providers.values():
        for settings in (provider.settings, *provider.sinks):
            found.update(dict.fromkeys(files_of(settings, environ)))
    return tuple(found)


def _of_sink(index: int, finding: Finding) -> StatusWarning:
    return StatusWarning(finding.warning.code, in_status(("sinks", index, finding.key), finding.warning.message))


def _of_paths(settings: Any) -> Iterator[Finding]:
    """Judge the paths of the other files that are read or run: templates, authorities, certificates, commands."""
    written = settings.file_path if isinstance(settings, SinkSettings) else None
    for key, value in settings.__dict__.items():
        if isinstance(value, Path) and value is not written:
            yield from _of_path(key, value, Level.DOUBTFUL)
    for key in ("on_change", "command"):
        if isinstance(argv := settings.__dict__.get(key), tuple):
            yield from of_command(key, argv)


def of_command(key: str, argv: Sequence[str] | None) -> Iterator[Finding]:
    """Judge the path of the program that a key runs."""
    if argv and (program := shutil.which(argv[0])) is not None:
        yield from _of_path(key, Path(program), Level.UNSAFE)


def _of_upstream(settings: ConnectionSettings) -> Iterator[Finding]:
    key, url = settings.server_url
    if url.startswith("http://") and not is_metadata_server(url):
        message = (
            f"{key}: plain http: while nothing listens on this port, any user of this machine can, and gets the "
            "credentials. Use https (ca_file names the authority), or a Unix socket behind a proxy of root's"
        )
        yield Finding(key, StatusWarning("plain_http", message), is_shown=True)


def _of_tls_files(settings: TlsSettings) -> Iterator[Finding]:
    if settings.ca_file or settings.client_cert:
        from tokend.plugin.tls_files import tls_faults  # few configurations name such files

        for key, fault in tls_faults(settings):
            yield Finding(key, StatusWarning("file_unusable", f"{key}: {fault}"), is_error=True, is_shown=True)


def _of_path(key: str, path: Path, foreign: Level) -> Iterator[Finding]:
    with suppress(OSError):  # what cannot be looked at cannot be read: that is reported
        found = trusted(path, foreign=foreign)
        unsafe = found.level is Level.UNSAFE
        if found.level is not Level.OK:
            message = f"{key}: {path} is at {'an unsafe' if unsafe else 'a doubtful'} path: {found.reason}"
            yield Finding(
                key,
                StatusWarning("unsafe_path" if unsafe else "doubtful_path", message),
                is_error=unsafe,
                is_shown=True,
            )
