"""Places of secrets: environment, files, systemd credential, command, another provider's token, keyring, configuration.

`secret_reading` reads the secrets. People sometimes write a secret instead of its place, as in ``{ env = "sk-…" }``:
messages show a place only if it looks like one (`is_shown`).
"""

import re
import shutil
from dataclasses import dataclass
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
from tokend.plugin.shown_text import NOT_SHOWN, looks_secret, shown
from tokend.values.secret import Secret

if TYPE_CHECKING:
    from tokend.plugin.declared.expressions import Expression
    from tokend.plugin.vault_settings import VaultSettings

_SHOWN = {
    "env": re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII),
    "credential": re.compile(r"[a-z0-9._-]{1,40}", re.ASCII),
    "file": re.compile(r"\.{0,2}/.*", re.DOTALL),
    "token": re.compile(r"[a-z0-9][a-z0-9._-]{0,39}", re.ASCII),
    "age": re.compile(r"\.{0,2}/.*", re.DOTALL),
    "identity": re.compile(r"\.{0,2}/.*", re.DOTALL),
    "keyring": re.compile(r"[A-Za-z0-9_.@:/-]{1,60}/[A-Za-z0-9_.@-]{1,40}", re.ASCII),
    "vault": re.compile(r"[a-z0-9][a-z0-9._-]{0,39}", re.ASCII),
}
_PATHS = frozenset({"file", "age", "identity"})
# The places of which a secret has exactly one, and their names in messages.
_NAMES = {
    "env": "environment variable",
    "file": "file",
    "credential": "credential",
    "command": "command",
    "token": "token",
    "age": "age file",
    "keyring": "keyring item",
    "vault": "vault",
}
PLACES = tuple(_NAMES)
_FORMS = (
    "{ env = }, { file = }, { credential = }, { command = [..] }, { token = }, { age =, identity = }, { keyring = }, "
    "{ vault =, path =, field = }"
)
# The names that a provider may have.
PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


def is_shown(key: str, written: str) -> bool:
    """Return whether a value of a key of a place may be shown: it looks like a place."""
    return _SHOWN[key].fullmatch(written) is not None and (key in _PATHS or not looks_secret(written))


class UnshownPath(type(Path())):  # type: ignore[misc]  # a concrete class of this system
    """A path that messages do not show: written without ``/``, ``./`` or ``../`` before it, it may be a secret."""


def _secret_file(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and info.field_name == "identity" and value.startswith(("AGE-", "-----BEGIN")):
        raise ValueError("write the path of the file that holds the identity, not the identity itself")
    path = absolute_path(value, info)
    return UnshownPath(path) if isinstance(value, str) and not is_shown("file", value) else path


def _select(value: Any) -> Any:
    from tokend.plugin.declared.expressions import compiled  # few configurations have one, and it imports jmespath

    return compiled(value)


_SecretFile = Annotated[Path, BeforeValidator(_secret_file)]

if TYPE_CHECKING:
    _Select = Expression | None
else:
    _Select = Annotated[Any, PlainValidator(_select), WithJsonSchema({"type": "string", "minLength": 1})]


@dataclass(frozen=True, slots=True)
class NamedVault:
    """The name of a table ``[vaults.NAME]``, and its settings. They are None if the table is wrong or not known."""

    name: str
    settings: "VaultSettings | None"

    def __repr__(self) -> str:
        return f"NamedVault({self.name!r})"


def named_vault(value: Any, info: ValidationInfo) -> NamedVault:
    """Look up the vault of a name (validation context ``vaults``: the settings of all). Raises ValueError."""
    if isinstance(value, NamedVault):
        return value
    if not isinstance(value, str) or not PROVIDER_NAME.fullmatch(value):
        raise ValueError("write the name of a table of the vaults, as in [vaults.NAME]")
    vaults = (info.context or {}).get("vaults")
    if vaults is None:
        return NamedVault(value, None)
    if value not in vaults:
        from tokend.values.near_miss import did_you_mean  # only an error needs it

        raise ValueError(f"there is no table [vaults.NAME] of this name{did_you_mean(value, vaults)}")
    return NamedVault(value, vaults[value])


if TYPE_CHECKING:
    _Vault = NamedVault | None
else:
    _Vault = Annotated[Any, PlainValidator(named_vault), WithJsonSchema({"type": "string", "minLength": 1})]


class SecretSource(CompactModel):
    """A secret's place as written in the configuration (exactly one), its part of the content, its encoding.

    Equality compares places (and literal values, in constant time). A reload therefore sees a change of place, not of
    content; fingerprints show a change of content.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", arbitrary_types_allowed=True, defer_build=True)

    env: str | None = None
    file: _SecretFile | None = None
    credential: str | None = None
    command: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    # The name of another provider, whose valid token is the secret.
    token: str | None = None
    # A file that is encrypted for age, and the file of the identity that opens it.
    age: _SecretFile | None = None
    identity: _SecretFile | None = None
    # Service and user of an item of the desktop's keyring, with / between them.
    keyring: str | None = None
    # A secret in Vault or OpenBao: the name of its table, the KV engine (None: "secret"), the path and the field there.
    vault: _Vault = None
    mount: str | None = None
    path: str | None = None
    field: Annotated[str, Field(min_length=1, max_length=128)] | None = None
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

    @field_validator("keyring")
    @classmethod
    def _is_an_item(cls, value: str | None) -> str | None:
        if value is not None and (not all(keyring_names(value)) or not value.isprintable()):
            raise ValueError('write service and user of the item, with / between them: "service/user"')
        return value

    @field_validator("mount", "path")
    @classmethod
    def _are_names(cls, value: str | None) -> str | None:
        from tokend.plugin.vault_names import vault_names  # few configurations name a vault

        return None if value is None else vault_names(value, in_header=False)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [key for key in (*PLACES, "literal") if getattr(self, key) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"a secret is exactly one of {_FORMS} or a string; found {found}")
        if self.select is not None and self.token is not None:
            raise KeyValueError("select", "a token is no JSON content: select has no effect beside it")
        if self.age is not None and self.identity is None:
            raise ValueError("age needs identity: the file with the identity that opens the encrypted file")
        if self.identity is not None and self.age is None:
            raise KeyValueError("identity", "identity stands beside age only")
        if self.vault is not None and (self.path is None or (self.field is None and self.select is None)):
            raise ValueError("vault needs path, and field: the name of a field of the secret there (or select)")
        for key in ("mount", "path", "field"):
            if self.vault is None and getattr(self, key) is not None:
                raise KeyValueError(key, f"{key} stands beside vault only")
        if self.age is not None or self.keyring is not None:
            from tokend.plugin.extras import require_package_of_secret  # few configurations have such a secret

            require_package_of_secret(given[0])
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema: a string, or a table with one place."""
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(core_schema)]}

    def __str__(self) -> str:
        """Return the place's name for messages, without a value, or a place, that may be a secret."""
        if (key := self._key) is None:
            return self.place
        value = getattr(self, key)
        if key in _PATHS:
            return f"{_NAMES[key]} {NOT_SHOWN if isinstance(value, UnshownPath) else value}"
        if key == "command":
            return f"{_NAMES[key]} {value[0] if _is_program(value[0]) else NOT_SHOWN}"
        if key == "vault":
            return shown(f"{_NAMES[key]} {value.name} {self._in_vault}")
        return f"{_NAMES[key]} {value if is_shown(key, value) else NOT_SHOWN}"

    def __repr__(self) -> str:
        """Return the name that messages use: a traceback may contain the repr."""
        return f"SecretSource({self})"

    @property
    def place(self) -> str:
        """The full place, for comparisons. Not for messages: it may be a secret."""
        if (key := self._key) is None:
            return "literal in the configuration"
        value = getattr(self, key)
        if key == "age":
            return f"{_NAMES[key]} {value} {self.identity}"
        if key == "vault":
            server = "" if value.settings is None else f"{value.settings.address} {value.settings.namespace}"
            return f"{_NAMES[key]} {value.name} {server} {self._in_vault}"
        return f"{_NAMES[key]} {value[0] if key == 'command' else value}"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the place names."""
        return tuple(path for path in (self.file, self.age, self.identity) if path is not None)

    @property
    def is_read_later(self) -> bool:
        """Whether a check does not read the secret: a program would run, or a server or another provider has it."""
        return not (self.command is None and self.token is None and self.keyring is None and self.vault is None)

    @property
    def needed_token(self) -> str | None:
        """The provider whose valid token is the secret, or the credential of its vault; None if there is none."""
        settings = None if self.vault is None else self.vault.settings
        return self.token if settings is None or settings.auth is None else settings.auth.token

    @property
    def _in_vault(self) -> str:
        return f"{self.mount or 'secret'}/{self.path}{'' if self.field is None else f'#{self.field}'}"

    @property
    def _key(self) -> str | None:
        return next((key for key in PLACES if getattr(self, key) is not None), None)


def keyring_names(item: str) -> tuple[str, str]:
    """Return service and user of a keyring's item. The service may be a URL: the last / is between them."""
    service, _, user = item.rpartition("/")
    return service, user


def shows_path(source: SecretSource) -> bool:
    """Return whether messages may name the files or the program of a secret: they look like places."""
    if source.credential is not None:
        return is_shown("credential", source.credential)
    if source.command is not None:
        return _is_program(source.command[0])
    return not any(isinstance(path, UnshownPath) for path in source.files)


def _is_program(name: str) -> bool:
    """Return whether a command's first word is a path or the name of an installed program."""
    return is_shown("file", name) or (name.isprintable() and shutil.which(name) is not None)


def _coerce(value: Any) -> Any:
    """Turn a plain string into a literal secret."""
    return {"literal": Secret(value)} if isinstance(value, str) else value


SecretField = Annotated[SecretSource, BeforeValidator(_coerce)]
"""The type of a settings field that holds a secret."""
