"""``dotenv``: one key of a `.env` file, set in place; every other byte of the file stays."""

from typing import Literal

from pydantic import field_validator

from tokend import files
from tokend.errors import SinkError
from tokend.files import ChangedError, Edited, Ownership
from tokend.sinks.dotenv_format import KEY, Style, UnencodableError, edit, encode
from tokend.sinks.file import FileSink, Mode
from tokend.tokens import Lease, utc

# Somebody else edits the same file: start again so many times, then fail and be retried later.
EDIT_TRIES = 10


class DotenvSink(FileSink):
    """``key`` holds the token; ``expires_key``, if given, its expiry (RFC 3339 UTC, empty for a token without end).

    An existing file keeps its mode and owner unless ``mode``, ``owner`` or ``group`` say otherwise; a new one is 0600.
    """

    kind: Literal["dotenv"] = "dotenv"
    key: str
    expires_key: str | None = None
    style: Style = "portable"
    mode: Mode | None = None
    symlink: Literal["refuse", "follow", "replace"] = "follow"

    @field_validator("key", "expires_key")
    @classmethod
    def _is_a_key(cls, value: str | None) -> str | None:
        if value is not None and not KEY.fullmatch(value):
            raise ValueError("a key is letters, digits and _, and does not begin with a digit: JWT_TOKEN")
        return value

    def write(self, lease: Lease) -> bool:
        """Set the key. True if the file changed."""
        expires = lease.token.expires_at
        values = {self.key: lease.token.value.reveal()}
        if self.expires_key is not None:
            values[self.expires_key] = "" if expires is None else utc(expires.wall)
        try:
            return self._set({key: encode(value, self.style) for key, value in values.items()}, create=True)
        except UnencodableError as error:
            raise SinkError(f"{self.target}: the token cannot be written as {self.key}: {error}") from None

    def remove(self) -> bool:
        """Leave ``KEY=`` behind. True if something was taken away."""
        keys = [self.key] if self.expires_key is None else [self.key, self.expires_key]
        return self._set(dict.fromkeys(keys, ""), create=False)

    def _set(self, values: dict[str, str], *, create: bool) -> bool:
        with self.told():
            for _ in range(EDIT_TRIES):
                try:
                    return self._edit(values, create=create)
                except ChangedError:
                    continue
        raise SinkError(f"{self.target}: somebody else keeps changing the file")

    def _edit(self, values: dict[str, str], *, create: bool) -> bool:
        found = files.read_file(self.path, symlink=self.symlink)
        if found is None and not create:
            return False
        before = b"" if found is None else found[0]
        after = edit(before, values)
        wanted = self.ownership()
        if found is not None and after == before and wanted == Ownership():
            return False
        if self.write_mode == "in-place":
            return files.write_in_place(self.path, after, symlink=self.symlink)
        return files.replace_file(
            self.path, after, wanted, symlink=self.symlink, edited=None if found is None else Edited(*found)
        )
