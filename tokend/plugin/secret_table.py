"""Tables of secrets by name: environment variables for a program, and the secrets of a declared request.

`ProviderSettings.secrets` has only fields that are secrets themselves. A kind with a `SecretTable` adds those of the
table, by keys with a dot: ``env.NAME``.
"""

import re
from typing import Annotated

from pydantic import AfterValidator

from tokend.plugin.secret_source import SecretField, SecretSource
from tokend.plugin.shown_text import looks_secret

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class SecretTable(dict[str, SecretSource]):
    """Places of secrets by name. A text that stands in the configuration is a literal."""

    def secrets(self, key: str) -> dict[str, SecretSource]:
        """Return the secrets by the keys ``KEY.NAME``, for `ProviderSettings.secrets`.

        Without the literals: a region or a profile is no secret. One that looks like a secret counts as one.
        """
        return {f"{key}.{name}": source for name, source in self.items() if not _is_plain(source)}

    def all(self, key: str) -> dict[str, SecretSource]:
        """Return all of them by the keys ``KEY.NAME``, literals included, for a table of secrets alone."""
        return {f"{key}.{name}": source for name, source in self.items()}

    def text(self) -> "SecretTable":
        """Return the literals."""
        return SecretTable({name: source for name, source in self.items() if source.literal is not None})


class IsSecretTable:
    """Mark of a field whose type is `SecretTable`: `secret_check` accepts the secrets in it."""


def _is_plain(source: SecretSource) -> bool:
    return source.literal is not None and not looks_secret(source.literal.reveal())


def _variable_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("the name of an environment variable is letters, digits and _, and begins with no digit")
    return name


def _secret_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a secret's name is letters, digits and _, and begins with no digit")
    return name


def _without_nul(source: SecretSource) -> SecretSource:
    if source.literal is not None and b"\0" in source.literal.reveal_bytes():
        raise ValueError("an environment variable holds no NUL")
    return source


Variables = Annotated[
    dict[Annotated[str, AfterValidator(_variable_name)], Annotated[SecretField, AfterValidator(_without_nul)]],
    AfterValidator(SecretTable),
    IsSecretTable(),
]
"""The type of a settings field with environment variables for a program."""

NamedSecrets = Annotated[
    dict[Annotated[str, AfterValidator(_secret_name)], SecretField], AfterValidator(SecretTable), IsSecretTable()
]
"""The type of a settings field ``[secrets]``: the secrets that placeholders ``{name}`` are filled with."""
