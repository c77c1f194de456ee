"""Reading of a secret from its place: variable, file, credential, command, keyring. Blocks; caches nothing."""

import base64
import binascii
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from tokend.files import Level, UntrustedError, require_safe
from tokend.machine import command
from tokend.plugin.secret_source import SecretSource, is_shown, shows_path
from tokend.plugin.secret_table import SecretTable
from tokend.values.errors import NoCredentialsError, SecretError, UnsafePathError, WaitingError
from tokend.values.secret import Secret

COMMAND_SECONDS = 10
# Secrets are keys and passwords. The largest that occur are PEM chains.
LARGEST_SECRET_BYTES = 64 * 1024
# A writer needs microseconds between truncate and write; two equal reads in a row prove that it is done.
READ_TRIES = 5
# A program that prints a secret often reads it from the user's own store, and may be given credentials itself.
PASSED_ON = (*command.PASSED_ON, "USER", "LOGNAME", "TMPDIR", "CREDENTIALS_DIRECTORY")


def read_secret(source: SecretSource, environ: Mapping[str, str] = os.environ) -> Secret:
    """Read, select and decode a secret now. Blocks.

    Strips one trailing newline before decoding. Reads a file until two reads agree. Raises `SecretError`, which names
    the secret's place, never its content; `UnsafePathError` if somebody else decides the content.
    """
    return of_content(source, _read_raw(source, environ))


def of_content(source: SecretSource, raw: bytes) -> Secret:
    """Select and decode in what is at the secret's place. Blocks where there is an expression. Raises `SecretError`."""
    return decoded(source, _selected(source, raw))


def decoded(source: SecretSource, raw: bytes) -> Secret:
    """Decode what `read_content` returned. Raises `SecretError`."""
    raw = raw.removesuffix(b"\n").removesuffix(b"\r") if raw.endswith(b"\n") else raw
    if not raw:
        raise SecretError(f"{source} is empty")
    try:
        if source.encoding == "base64":
            # Vendors hand out both alphabets, with and without padding.
            text = raw.translate(bytes.maketrans(b"-_", b"+/"), b" \t\r\n").rstrip(b"=")
            raw = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
        elif source.encoding == "hex":
            raw = bytes.fromhex(raw.decode("ascii"))
        elif source.encoding == "base32":
            # Seeds of one-time passwords are shown in groups, in either case, and without padding.
            text = raw.translate(None, b" -\t\r\n").rstrip(b"=").upper()
            raw = base64.b32decode(text + b"=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        raise SecretError(f"{source} is not valid {source.encoding}") from None
    if not raw:
        raise SecretError(f"{source} is empty")
    return Secret(raw)


def of_token(source: SecretSource, value: Secret | None) -> Secret:
    """Decode the token that ``source`` names; None: that provider has no valid token now.

    Raises `WaitingError` for None, else as `decoded`.
    """
    if value is None:
        raise WaitingError(f"waits for {source.token}, which has no valid token now")
    return decoded(source, value.reveal_bytes())


def read_content(source: SecretSource, environ: Mapping[str, str]) -> bytes:
    """Read what is at the secret's place, and select in it. Blocks. Raises as `read_secret` does."""
    return _selected(source, _read_raw(source, environ))


def _selected(source: SecretSource, raw: bytes) -> bytes:
    if source.select is None:
        return raw
    from tokend.plugin.secret_selection import selected  # few configurations have an expression

    return selected(source, source.select, raw)


def _read_raw(source: SecretSource, environ: Mapping[str, str]) -> bytes:
    """Read what is at the secret's place, as it is. Blocks. Raises as `read_secret` does."""
    if source.literal is not None:
        return source.literal.reveal_bytes()
    if source.env is not None:
        value = environ.get(source.env)
        if value is None:
            raise SecretError(f"{source} is not set")
        return os.fsencode(value)
    if source.token is not None:
        raise WaitingError(f"{source} is there only while the daemon runs")
    if source.command is not None:
        check_path(source, environ)
        return _run(source.command, environ, str(source))
    if source.vault is not None:
        raise SecretError(f"{source} is read only while the daemon runs, for a provider or a sink")
    if source.keyring is not None:
        from tokend.plugin.secret_keyring import item_secret  # few configurations have such a secret

        return item_secret(source)
    check_path(source, environ)
    if source.age is not None:
        from tokend.plugin.secret_age import decrypted  # few configurations have such a secret

        return decrypted(source)
    return read_file(_file_of(source, environ), str(source))


def paths_of(source: SecretSource, environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return the files that hold the secret, or the program that prints it. Empty if there is none, or not yet."""
    if source.command is not None:
        found = shutil.which(source.command[0], path=environ.get("PATH"))
        return () if found is None else (Path(found),)
    if source.credential is None:
        return source.files
    try:
        return (_file_of(source, environ),)
    except SecretError:
        return ()


def files_of(settings: object, environ: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """Yield the files that a provider or a sink reads at each use: secrets, files for TLS, a template."""
    written = getattr(settings, "file_path", None)
    for value in settings.__dict__.values():
        if type(value) is SecretSource or type(value) is SecretTable:
            for source in value.values() if isinstance(value, SecretTable) else (value,):
                if source.command is None:
                    yield from paths_of(source, environ)
                if source.vault is not None and source.vault.settings is not None:
                    yield from files_of(source.vault.settings, environ)
        elif isinstance(value, Path) and value is not written:
            yield value


def foreign_level(source: SecretSource) -> Level:
    """Return how far a path of another user is trusted: a program of his is run, his file is only read."""
    return Level.DOUBTFUL if source.command is None else Level.UNSAFE


def check_path(source: SecretSource, environ: Mapping[str, str] = os.environ) -> None:
    """Raise `UnsafePathError` if somebody else decides what is at the secret's place. Blocks."""
    for path in paths_of(source, environ):
        try:
            require_safe(path, foreign=foreign_level(source))
        except UntrustedError as error:
            reason = error.strerror if shows_path(source) else "others may change what is there"
            raise UnsafePathError(f"{source} is at an unsafe path: {reason}") from None
        except OSError:
            return  # reading the file fails as well, and says why


def _file_of(source: SecretSource, environ: Mapping[str, str]) -> Path:
    if source.file is not None:
        return source.file
    directory = environ.get("CREDENTIALS_DIRECTORY", "").split(":")[0]
    name = source.credential or ""
    if not directory:
        shown = name if is_shown("credential", name) else "NAME"
        raise NoCredentialsError(
            f"{source}: $CREDENTIALS_DIRECTORY is not set; add LoadCredential={shown}:… to the unit"
        )
    if "/" in name or "\0" in name or name in {"", ".", ".."}:
        raise SecretError(f"{source}: a credential's name is one file name")
    return Path(directory) / name


def read_file(path: Path, what: str, largest: int = LARGEST_SECRET_BYTES) -> bytes:
    """Read a file until two reads agree. Blocks. Raises `SecretError`, which names ``what``."""
    previous: bytes | None = None
    for _ in range(READ_TRIES):
        try:
            content = _read_once(path, largest)
        except OSError as error:
            raise SecretError(f"{what} cannot be read: {error.strerror or error}") from None
        if len(content) > largest:
            raise SecretError(f"{what} is larger than {largest} bytes: not a secret")
        if content == previous:
            return content
        previous = content
    raise SecretError(f"{what} keeps changing while it is read")


def _read_once(path: Path, largest: int) -> bytes:
    # Without O_NONBLOCK the open of a fifo would block for ever. A fifo is refused: two reads of it cannot agree.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError("it is a directory" if stat.S_ISDIR(mode) else "it is no regular file")
        content = b""
        while chunk := os.read(descriptor, largest + 1 - len(content)):
            content += chunk
        return content
    finally:
        os.close(descriptor)


def _run(argv: tuple[str, ...], environ: Mapping[str, str], what: str) -> bytes:
    passed_on = {key: environ[key] for key in PASSED_ON if key in environ}
    try:
        ended = command.run_command(argv, passed_on, seconds=COMMAND_SECONDS, output_limit=LARGEST_SECRET_BYTES)
    except TimeoutError:
        raise SecretError(f"{what} did not end within {COMMAND_SECONDS} s") from None
    except (OSError, ValueError) as error:
        raise SecretError(f"{what} cannot be run: {getattr(error, 'strerror', error)}") from None
    if len(ended.output) > LARGEST_SECRET_BYTES:
        raise SecretError(f"{what} printed more than {LARGEST_SECRET_BYTES} bytes: not a secret")
    if ended.status != 0:
        # The command's output may contain the secret: do not show it.
        raise SecretError(f"{what} failed with exit status {ended.status}")
    return ended.output
