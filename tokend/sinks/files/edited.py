"""Base class of the file sinks that edit a file of another program: everything but their own values stays."""

import stat
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

from tokend import files
from tokend.files import LARGEST_EDITED_BYTES, ChangedError, Ownership, Version
from tokend.plugin.settings_base import Mode
from tokend.plugin.sink import SinkRuntime
from tokend.sinks.files.base import FileSink
from tokend.sinks.files.drift import Expected
from tokend.values.errors import SinkError
from tokend.values.tokens import Lease

# Tries of one edit: another program may edit the file at the same time. After the last try the write fails.
EDIT_TRIES = 10

Edit = Callable[[bytes], bytes]
"""A change of a file's content. Raises `SinkError`."""


class EditedFileSink(FileSink):
    """A sink that sets values in a file. A kind implements `setting`, `removing` and `trial`.

    An existing file keeps its mode and owner unless ``mode``, ``owner`` or ``group`` are set. A new file gets mode
    0600.
    """

    keeps_owner: ClassVar[bool] = True

    mode: Mode | None = None
    symlink: Literal["refuse", "follow", "replace"] = "follow"

    def setting(self, lease: Lease, others: Mapping[str, Lease]) -> Edit:
        """Return the edit that sets the values of these tokens. Raises `SinkError` for a value that cannot be set."""
        raise NotImplementedError

    def removing(self) -> Edit:
        """Return the edit that takes the values away."""
        raise NotImplementedError

    def trial(self) -> Edit:
        """Return an edit that fails where `setting` would; its result is not written."""
        raise NotImplementedError

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
        """Set the values of one token. True if the file changed."""
        return self._set(self.setting(lease, {}))

    def write_all_blocking(self, lease: Lease, others: Mapping[str, Lease]) -> bool:
        """Set the values of several tokens. True if the file changed."""
        return self._set(self.setting(lease, others))

    async def repair(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease], good: object) -> bool:
        """Set the values again, and owner, group and mode as they were. True if the file changed."""
        return await runtime.run_in_thread(
            lambda: self._set(self.setting(lease, others), kept=self.kept_ownership(good))
        )

    def expected(self, lease: Lease, others: Mapping[str, Lease]) -> Expected:
        """Make what the file must hold: the values, whatever stands beside them."""
        change = self.setting(lease, others)

        def holds(found: bytes) -> bool:
            if len(found) > LARGEST_EDITED_BYTES:
                raise SinkError(f"{self.target}: larger than {LARGEST_EDITED_BYTES} bytes: not edited")
            return change(found) == found

        return Expected(LARGEST_EDITED_BYTES + 1, holds)

    def remove_blocking(self) -> bool:
        """Take the values away. True if the file changed."""
        return self._set(self.removing(), removes=True)

    def probe_blocking(self) -> None:
        """Check, as other file sinks do, that a write would succeed; also that an existing file can be edited."""
        super().probe_blocking()
        change = self.trial()
        with self.operator_errors():
            found = self._read()
        change(found.content or b"")

    def _set(self, change: Edit, *, removes: bool = False, kept: Ownership | None = None) -> bool:
        with self.operator_errors():
            for _ in range(EDIT_TRIES):
                try:
                    return self._edit(change, removes=removes, kept=kept)
                except ChangedError:
                    continue
        raise SinkError(f"{self.target}: another program keeps changing the file")

    def _edit(self, change: Edit, *, removes: bool, kept: Ownership | None) -> bool:
        before = self._read()
        if before.content is None and removes:
            return False
        after = change(before.content or b"")
        wanted = self.ownership() if kept is None else kept
        is_right = wanted.completed(before.ownership).is_met_by(before.ownership)
        if after == before.content and (removes or is_right):
            return False
        # What was kept and is right still is not set again: a mode that is set takes an ACL away.
        return self.put(after, before, wanted if kept is None else kept.unlike(before.ownership))

    def _read(self) -> Version:
        # With symlink = "replace" the new file needs the other values, which are in the link's target.
        return files.read_version(self.path, symlink="follow" if self.symlink == "replace" else self.symlink)
