"""Login files: one provider each, on a local file system that nobody else writes to, with a key of 32 bytes. Blocks."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from tokend.config.config_files import PlacedSettings
from tokend.config.fields import Visibility
from tokend.config.findings import Findings
from tokend.config.state_keys import KeyLengthError, read_state_key
from tokend.files import real_path
from tokend.plugin.login import login_file_key_of, login_file_of
from tokend.plugin.settings import HeldSettings
from tokend.state.login_file import login_file_fault
from tokend.values.errors import SecretError

KEY = "login_file"


def check_login_files(
    providers: Iterable[PlacedSettings], state: Path | None, environ: Mapping[str, str], findings: Findings
) -> None:
    """Report what is wrong with the login files. ``state`` is the state directory."""
    taken: dict[str, PlacedSettings] = {}
    below_state = None if state is None else real_path(state).rstrip("/") + "/"
    for provider in providers:
        settings = provider.settings
        path = login_file_of(settings) if isinstance(settings, HeldSettings) else None
        if path is None:
            continue
        real = real_path(path)
        if (other := taken.setdefault(real, provider)) is not provider:
            message = (
                f"{other.path[-1]} keeps its login in {path} already: a login is one provider's in each daemon; name "
                "another file"
            )
            findings.errors.append(provider.problem(KEY, message))
        elif below_state is not None and f"{real}/".startswith(below_state):
            findings.errors.append(provider.problem(KEY, f"{path} is inside the state directory: choose another place"))
        elif (fault := login_file_fault(path)) is not None:
            message = f"{path}: {fault}"
            place = (*provider.path, KEY)
            findings.of_this_machine(provider.document.problem(place, message, visibility=Visibility.PLACES))
        _check_key(provider, environ, findings)


def _check_key(provider: PlacedSettings, environ: Mapping[str, str], findings: Findings) -> None:
    source = login_file_key_of(provider.settings)
    if source is not None and source.vault is not None:
        message = (
            "login_file_key: it is read with its file, and waits for no server: use { credential = } or { file = }"
        )
        place = (*provider.path, "login_file_key")
        findings.errors.append(provider.document.problem(place, message, visibility=Visibility.PLACES))
    if source is None or source.is_read_later:
        return  # known when it is read
    try:
        read_state_key(source, environ)
    except KeyLengthError as error:
        place = (*provider.path, "login_file_key")
        message = f"login_file_key: {error.detail}"
        findings.errors.append(provider.document.problem(place, message, visibility=Visibility.PLACES))
    except SecretError:
        return  # reported with the other secrets
