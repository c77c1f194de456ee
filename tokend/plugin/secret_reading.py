"""Reading of a secret from its place: environment, file, systemd credential or command. Blocks; caches nothing."""

import base64
import binascii
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from tokend.machine.command import run_command
from tokend.plugin.secret_source import SecretSource, is_shown
from tokend.values.errors import SecretError
from tokend.values.secret import Secret

COMMAND_SECONDS = 10
# Secrets are keys and passwords. The largest that occur are PEM chains.
LARGEST_SECRET_BYTES = 64 * 1024
# A writer needs microseconds between truncate and write; two equal reads in a row prove that it is done.
READ_TRIES = 5
# Environment variables that a program needs to run. The others are not passed on: they may hold secrets.
PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_RUNTIME_DIR",
             "DBUS_SESSION_BUS_ADDRESS", "CREDENTIALS_DIRECTORY")  # fmt: skip


def read_secret(source: SecretSource, environ: Mapping[str, str] = os.environ) -> Secret:
    """Read and decode a secret now. Blocks.

    Strips one trailing newline before decoding. Reads a file until two reads agree. Raises `SecretError`, which names
    the secret's place, never its content.
    """
    raw = _read_raw(source, environ)
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
    except (binascii.Error, ValueError):
        raise SecretError(f"{source} is not valid {source.encoding}") from None
    if not raw:
        raise SecretError(f"{source} is empty")
    return Secret(raw)


def _read_raw(source: SecretSource, environ: Mapping[str, str]) -> bytes:
    if source.literal is not None:
        return source.literal.reveal_bytes()
    if source.env is not None:
        value = environ.get(source.env)
        if value is None:
            raise SecretError(f"{source} is not set")
        return os.fsencode(value)
    if source.command is not None:
        return _run(source.command, environ, str(source))
    return _read_file(_path(source, environ), str(source))


def _path(source: SecretSource, environ: Mapping[str, str]) -> Path:
    if source.file is not None:
        return source.file
    directory = environ.get("CREDENTIALS_DIRECTORY", "").split(":")[0]
    name = source.credential or ""
    if not directory:
        shown = name if is_shown("credential", name) else "NAME"
        raise SecretError(f"{source}: $CREDENTIALS_DIRECTORY is not set; add LoadCredential={shown}:… to the unit")
    if "/" in name or "\0" in name or name in {"", ".", ".."}:
        raise SecretError(f"{source}: a credential's name is one file name")
    return Path(directory) / name


def _read_file(path: Path, what: str) -> bytes:
    previous: bytes | None = None
    for _ in range(READ_TRIES):
        try:
            content = _read_once(path)
        except OSError as error:
            raise SecretError(f"{what} cannot be read: {error.strerror or error}") from None
        if len(content) > LARGEST_SECRET_BYTES:
            raise SecretError(f"{what} is larger than {LARGEST_SECRET_BYTES} bytes: not a secret")
        if content == previous:
            return content
        previous = content
    raise SecretError(f"{what} keeps changing while it is read")


def _read_once(path: Path) -> bytes:
    # Without O_NONBLOCK the open of a fifo would block for ever. A fifo is refused: two reads of it cannot agree.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError("it is a directory" if stat.S_ISDIR(mode) else "it is no regular file")
        content = b""
        while chunk := os.read(descriptor, LARGEST_SECRET_BYTES + 1 - len(content)):
            content += chunk
        return content
    finally:
        os.close(descriptor)


def _run(argv: tuple[str, ...], environ: Mapping[str, str], what: str) -> bytes:
    passed_on = {key: environ[key] for key in PASSED_ON if key in environ}
    try:
        ended = run_command(argv, passed_on, seconds=COMMAND_SECONDS, output_limit=LARGEST_SECRET_BYTES)
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
