"""Kind ``dotenv``: sets one key of a `.env` file and keeps every other byte."""

from collections.abc import Mapping
from typing import Literal

from pydantic import ValidationInfo, field_validator

from tokend.plugin.settings import part_of
from tokend.sinks.files.dotenv_format import KEY, Style, UneditableError, UnencodableError, edit, encode
from tokend.sinks.files.edited import Edit, EditedFileSink
from tokend.values.errors import SinkError
from tokend.values.tokens import Lease, utc


class DotenvSink(EditedFileSink):
    """A key in a `.env` file.

    ``key`` gets the token. ``expires_key``, if given, gets its expiry: RFC 3339 UTC, empty for a token without end.
    """

    kind: Literal["dotenv"] = "dotenv"
    key: str
    expires_key: str | None = None
    style: Style = "portable"

    @field_validator("key", "expires_key")
    @classmethod
    def _is_a_key(cls, value: str | None) -> str | None:
        if value is not None and not KEY.fullmatch(value):
            raise ValueError("a key is letters, digits and _, and does not begin with a digit: JWT_TOKEN")
        return value

    @field_validator("expires_key")
    @classmethod
    def _is_another_key(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and value == info.data.get("key"):
            raise ValueError("key and expires_key are the same")
        return value

    def exclusive_targets(self) -> frozenset[str]:
        """Return the keys as parts of the file: sinks with different keys may share the file."""
        keys = (self.key,) if self.expires_key is None else (self.key, self.expires_key)
        return frozenset(part_of(file, key) for file in super().exclusive_targets() for key in keys)

    def setting(self, lease: Lease, others: Mapping[str, Lease]) -> Edit:  # noqa: ARG002  # of the interface
        """Return the edit that sets the keys."""
        return self._edit_of(self._encoded(lease), append=True)

    def removing(self) -> Edit:
        """Return the edit that sets the keys that the file has to empty values (``KEY=``)."""
        keys = [self.key] if self.expires_key is None else [self.key, self.expires_key]
        return self._edit_of(dict.fromkeys(keys, ""), append=False)

    def trial(self) -> Edit:
        """Return an edit without keys."""
        return self._edit_of({}, append=False)

    def _encoded(self, lease: Lease) -> dict[str, str]:
        expires = lease.token.expires_at
        values = {self.key: lease.token.value.reveal()}
        if self.expires_key is not None:
            values[self.expires_key] = "" if expires is None else utc(expires.wall)
        try:
            return {key: encode(value, self.style) for key, value in values.items()}
        except UnencodableError as error:
            raise SinkError(f"{self.target}: the token cannot be written as {self.key}: {error}") from None

    def _edit_of(self, values: dict[str, str], *, append: bool) -> Edit:
        def change(content: bytes) -> bytes:
            try:
                return edit(content, values, append=append)
            except UneditableError as error:
                raise SinkError(f"{self.target}: {error}") from None

        return change
