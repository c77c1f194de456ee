"""Places of secrets: environment, file, systemd credential, command, another provider's token, or the configuration.

`secret_reading` reads the secrets. People sometimes write a secret instead of its place, as in ``{ env = "sk-…" }``:
messages show a place only if it looks like one (`is_shown`).
"""

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema
from pydantic_core import CoreSchema

from tokend.plugin.settings_base import CompactModel, KeyValueError, absolute_path
from tokend.plugin.shown_text import NOT_SHOWN, looks_secret
from tokend.values.secret import Secret

if TYPE_CHECKING:
    from tokend.plugin.declared.expressions import Expression

_SHOWN = {
    "env": re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII),
    "credential": re.compile(r"[a-z0-9._-]{1,40}", re.ASCII),
    "file": re.compile(r"\.{0,2}/.*", re.DOTALL),
    "token": re.compile(r"[a-z0-9][a-z0-9._-]{0,39}", re.ASCII),
}
# The names that a provider may have.
PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


def is_shown(key: str, written: str) -> bool:
    """Return whether a value of ``env``, ``file``, ``credential`` or ``token`` may be shown: it looks like a place."""
    return _SHOWN[key].fullmatch(written) is not None and (key == "file" or not looks_secret(written))


class UnshownPath(type(Path())):  # type: ignore[misc]  # a concrete class of this system
    """A path that messages do not show: written without ``/``, ``./`` or ``../`` before it, it may be a secret."""


def _secret_file(value: Any, info: ValidationInfo) -> Any:
    path = absolute_path(value, info)
    return UnshownPath(path) if isinstance(value, str) and not is_shown("file", value) else path


def _select(value: Any) -> Any:
    from tokend.plugin.declared.expressions import compiled  # few configurations have one, and it imports jmespath

    return compiled(value)


if TYPE_CHECKING:
    _Select = Expression | None
else:
    _Select = Annotated[Any, PlainValidator(_select), WithJsonSchema({"type": "string", "minLength": 1})]


class SecretSource(CompactModel):
    """A secret's place as written in the configuration (exactly one of six), its part of the content, its encoding.

    Equality compares places (and literal values, in constant time). A reload therefore sees a change of place, not of
    content; fingerprints show a change of content.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", arbitrary_types_allowed=True, defer_build=True)

    env: str | None = None
    file: Annotated[Path, BeforeValidator(_secret_file)] | None = None
    credential: str | None = None
    command: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    # The name of another provider, whose valid token is the secret.
    token: str | None = None
    literal: SkipJsonSchema[Secret | None] = Field(default=None, repr=False)
    # What of a JSON content is the secret (`secret_selection`); None: all of it.
    select: _Select = None
    encoding: Literal["text", "base64", "hex", "base32"] = "text"

    @model_validator(mode="before")
    @classmethod
    def _no_literal_key(cls, value: Any) -> Any:
        if isinstance(value, dict) and not isinstance(value.get("literal", Secret("")), Secret):
            raise ValueError("there is no key literal: a secret that stands here itself is a plain string")  # noqa: TRY004
        return value

    @field_validator("env")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        if value is not None and (not value or set(value) & set("=$\0")):
            raise ValueError("write the name of an environment variable, without $")
        return value

    @field_validator("token")
    @classmethod
    def _is_a_provider(cls, value: str | None) -> str | None:
        if value is not None and not PROVIDER_NAME.fullmatch(value):
            raise ValueError("write the name of the provider whose token is the secret, as in [providers.NAME]")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        keys = ("env", "file", "credential", "command", "token", "literal")
        given = [key for key in keys if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                "a secret is exactly one of { env = }, { file = }, { credential = }, { command = [..] }, { token = } "
                f"or a string; found {' and '.join(given) or 'none of them'}"
            )
        if self.select is not None and self.token is not None:
            raise KeyValueError("select", "a token is no JSON content: select has no effect beside it")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema: a string, or a table with one place."""
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(core_schema)]}

    def __str__(self) -> str:
        """Return the place's name for messages, without a value, or a place, that may be a secret."""
        if self.env is not None:
            return f"environment variable {self.env if is_shown('env', self.env) else NOT_SHOWN}"
        if self.file is not None:
            return f"file {NOT_SHOWN if isinstance(self.file, UnshownPath) else self.file}"
        if self.credential is not None:
            return f"credential {self.credential if is_shown('credential', self.credential) else NOT_SHOWN}"
        if self.command is not None:
            return f"command {self.command[0] if _is_program(self.command[0]) else NOT_SHOWN}"
        if self.token is not None:
            return f"token {self.token if is_shown('token', self.token) else NOT_SHOWN}"
        return self.place

    def __repr__(self) -> str:
        """Return the name that messages use: a traceback may contain the repr."""
        return f"SecretSource({self})"

    @property
    def place(self) -> str:
        """The full place, for comparisons. Not for messages: it may be a secret."""
        if self.env is not None:
            return f"environment variable {self.env}"
        if self.file is not None:
            return f"file {self.file}"
        if self.credential is not None:
            return f"credential {self.credential}"
        if self.command is not None:
            return f"command {self.command[0]}"
        if self.token is not None:
            return f"token {self.token}"
        return "literal in the configuration"


def shows_path(source: SecretSource) -> bool:
    """Return whether messages may name the file or the program of a secret: it looks like a place."""
    if source.file is not None:
        return not isinstance(source.file, UnshownPath)
    if source.credential is not None:
        return is_shown("credential", source.credential)
    return source.command is None or _is_program(source.command[0])


def _is_program(name: str) -> bool:
    """Return whether a command's first word is a path or the name of an installed program."""
    return is_shown("file", name) or (name.isprintable() and shutil.which(name) is not None)


def _coerce(value: Any) -> Any:
    """Turn a plain string into a literal secret."""
    return {"literal": Secret(value)} if isinstance(value, str) else value


SecretField = Annotated[SecretSource, BeforeValidator(_coerce)]
"""The type of a settings field that holds a secret."""
