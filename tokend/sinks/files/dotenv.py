"""Kind ``dotenv``: sets one key of a `.env` file and keeps every other byte."""

import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from pydantic import ValidationInfo, field_validator

from tokend import files
from tokend.files import LARGEST_EDITED_BYTES, ChangedError, Ownership, Version
from tokend.plugin.settings import part_of
from tokend.plugin.settings_base import Mode
from tokend.plugin.sink import SinkRuntime
from tokend.sinks.files.base import FileSink
from tokend.sinks.files.dotenv_format import KEY, Style, UneditableError, UnencodableError, edit, encode
from tokend.sinks.files.drift import Expected
from tokend.values.errors import SinkError
from tokend.values.tokens import Lease, utc

# Tries of one edit: another program may edit the file at the same time. After the last try the write fails.
EDIT_TRIES = 10


class DotenvSink(FileSink):
    """A key in a `.env` file.

    ``key`` gets the token. ``expires_key``, if given, gets its expiry: RFC 3339 UTC, empty for a token without end. An
    existing file keeps its mode and owner unless ``mode``, ``owner`` or ``group`` are set. A new file gets mode 0600.
    """

    keeps_owner = True

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

    def exposure(self) -> str | None:
        """Return a warning if every user may read the file, by its mode or by the one that it will get."""
        try:
            mode = stat.S_IMODE(self.path.stat().st_mode) if self.mode is None else int(self.mode, 8)
        except OSError:
            return None  # a new file is for its owner only
        if not mode & stat.S_IROTH:
            return None
        advice = f"chmod o-r {self.path}" if self.mode is None else 'mode = "0640" with a group of its readers'
        return f"every user may read {self.path} (mode {mode:04o}), which gets the token: {advice}"

    def write_blocking(self, lease: Lease) -> bool:
        """Set the keys. True if the file changed."""
        return self._set(self._encoded(lease), append=True)

    async def repair(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease], good: object) -> bool:  # noqa: ARG002  # of the interface
        """Set the keys again, and owner, group and mode as they were. True if the file changed."""
        return await runtime.run_in_thread(
            lambda: self._set(self._encoded(lease), append=True, kept=self.kept_ownership(good))
        )

    def expected(self, lease: Lease, others: Mapping[str, Lease]) -> Expected:  # noqa: ARG002  # of the interface
        """Make what the file must hold: the keys, whatever stands beside them."""
        encoded = self._encoded(lease)

        def holds(found: bytes) -> bool:
            if len(found) > LARGEST_EDITED_BYTES:
                raise SinkError(f"{self.target}: larger than {LARGEST_EDITED_BYTES} bytes: not edited")
            with self._editable():
                return edit(found, encoded, append=True) == found

        return Expected(LARGEST_EDITED_BYTES + 1, holds)

    def _encoded(self, lease: Lease) -> dict[str, str]:
        expires = lease.token.expires_at
        values = {self.key: lease.token.value.reveal()}
        if self.expires_key is not None:
            values[self.expires_key] = "" if expires is None else utc(expires.wall)
        try:
            return {key: encode(value, self.style) for key, value in values.items()}
        except UnencodableError as error:
            raise SinkError(f"{self.target}: the token cannot be written as {self.key}: {error}") from None

    def remove_blocking(self) -> bool:
        """Set the keys that the file has to empty values (``KEY=``). True if the file changed."""
        keys = [self.key] if self.expires_key is None else [self.key, self.expires_key]
        return self._set(dict.fromkeys(keys, ""), append=False)

    def probe_blocking(self) -> None:
        """Check, as other file sinks do, that a write would succeed; also that an existing file can be edited."""
        super().probe_blocking()
        with self.operator_errors(), self._editable():
            edit(self._read().content or b"", {}, append=False)

    def _set(self, values: dict[str, str], *, append: bool, kept: Ownership | None = None) -> bool:
        with self.operator_errors(), self._editable():
            for _ in range(EDIT_TRIES):
                try:
                    return self._edit(values, append=append, kept=kept)
                except ChangedError:
                    continue
        raise SinkError(f"{self.target}: another program keeps changing the file")

    def _edit(self, values: dict[str, str], *, append: bool, kept: Ownership | None) -> bool:
        before = self._read()
        if before.content is None and not append:
            return False
        after = edit(before.content or b"", values, append=append)
        wanted = self.ownership() if kept is None else kept
        is_right = wanted.completed(before.ownership).is_met_by(before.ownership)
        if after == before.content and (not append or is_right):
            return False
        # What was kept and is right still is not set again: a mode that is set takes an ACL away.
        return self.put(after, before, wanted if kept is None else kept.unlike(before.ownership))

    def _read(self) -> Version:
        # With symlink = "replace" the new file needs the other keys, which are in the link's target.
        return files.read_version(self.path, symlink="follow" if self.symlink == "replace" else self.symlink)

    @contextmanager
    def _editable(self) -> Iterator[None]:
        try:
            yield
        except UneditableError as error:
            raise SinkError(f"{self.target}: {error}") from None
