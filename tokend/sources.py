"""Where secrets come from: environment, file, systemd credential, command, or the configuration itself.

Reading blocks (a command may take ten seconds), so callers read in a thread. Nothing is cached here: a file or a
command is read at each use.
"""

import base64
import binascii
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from tokend.errors import SecretError
from tokend.secret import Secret

COMMAND_SECONDS = 10
# Secrets are keys and passwords; PEM chains are the largest that occur.
LARGEST_SECRET_BYTES = 64 * 1024
# A writer needs microseconds between truncate and write; two equal reads in a row prove that it is done.
READ_TRIES = 5


class SecretSource(BaseModel):
    """A secret's place, as written in the configuration: exactly one of the five, and its encoding.

    Equality compares places (and literal values, in constant time), so a reload sees a change of place, not of
    content; content is compared by fingerprint.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", arbitrary_types_allowed=True)

    env: str | None = None
    file: Path | None = None
    credential: str | None = None
    command: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    literal: Secret | None = Field(default=None, repr=False)
    encoding: Literal["text", "base64", "hex"] = "text"

    @model_validator(mode="before")
    @classmethod
    def _anchor(cls, value: Any, info: ValidationInfo) -> Any:
        """Resolve a relative file against the configuration's directory (validation context ``directory``)."""
        if isinstance(value, dict) and isinstance(value.get("file"), str):
            directory = (info.context or {}).get("directory", ".")
            return {**value, "file": Path(directory) / value["file"]}
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [key for key in ("env", "file", "credential", "command", "literal") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                "a secret is exactly one of { env = }, { file = }, { credential = }, { command = [..] } "
                f"or a string; found {' and '.join(given) or 'none of them'}"
            )
        return self

    def __str__(self) -> str:
        """Name the place for messages; never the value."""
        if self.env is not None:
            return f"environment variable {self.env}"
        if self.file is not None:
            return f"file {self.file}"
        if self.credential is not None:
            return f"credential {self.credential}"
        if self.command is not None:
            return f"command {self.command[0]}"
        return "literal in the configuration"


def _coerce(value: Any) -> Any:
    """A bare string is a literal secret."""
    return {"literal": Secret(value)} if isinstance(value, str) else value


SecretField = Annotated[SecretSource, BeforeValidator(_coerce)]
"""The type of a settings field that holds a secret."""


def read_secret(source: SecretSource, environ: Mapping[str, str] = os.environ) -> Secret:
    """Read a secret now. Blocks. Raises `SecretError` naming the place, never the content.

    One trailing newline is stripped, then the encoding undone. A file is read until two reads agree.
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
        return _run(source.command)
    return _read_file(_path(source, environ))


def _path(source: SecretSource, environ: Mapping[str, str]) -> Path:
    if source.file is not None:
        return source.file
    directory = environ.get("CREDENTIALS_DIRECTORY", "").split(":")[0]
    name = source.credential or ""
    if not directory:
        raise SecretError(f"{source}: $CREDENTIALS_DIRECTORY is not set; add LoadCredential={name}:… to the unit")
    if "/" in name or name in {"", ".", ".."}:
        raise SecretError(f"{source}: a credential's name is one file name")
    return Path(directory) / name


def _read_file(path: Path) -> bytes:
    previous: bytes | None = None
    for _ in range(READ_TRIES):
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_SECRET_BYTES + 1)
        except OSError as error:
            raise SecretError(f"file {path} cannot be read: {error.strerror}") from None
        if len(content) > LARGEST_SECRET_BYTES:
            raise SecretError(f"file {path} is larger than {LARGEST_SECRET_BYTES} bytes: not a secret")
        if content == previous:
            return content
        previous = content
    raise SecretError(f"file {path} keeps changing while it is read")


def _run(argv: tuple[str, ...]) -> bytes:
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise SecretError(f"command {argv[0]} did not end within {COMMAND_SECONDS} s") from None
    except (OSError, ValueError) as error:
        raise SecretError(f"command {argv[0]} cannot be run: {getattr(error, 'strerror', error)}") from None
    if done.returncode != 0:
        # Its output may be the secret or an echo of it: neither is shown.
        raise SecretError(f"command {argv[0]} failed with exit status {done.returncode}")
    if len(done.stdout) > LARGEST_SECRET_BYTES:
        raise SecretError(f"command {argv[0]} printed more than {LARGEST_SECRET_BYTES} bytes: not a secret")
    return done.stdout
