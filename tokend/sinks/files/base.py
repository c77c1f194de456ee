"""The family of file sinks: place, owner, mode, errors, and the way to a thread. The content is each kind's own.

`FileSink` implements `plugin.sink.Sink`: each asynchronous method runs its ``…_blocking`` counterpart in a thread.
"""

import errno
import grp
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from tokend import files
from tokend.files import NotKeptError, Ownership, Version
from tokend.plugin.settings import SinkSettings
from tokend.plugin.settings_base import AnchoredPath, Mode, Name, is_number
from tokend.plugin.sink import SinkRuntime
from tokend.sinks.files.announce import Announcement, Signal, Systemd
from tokend.values.errors import SinkError
from tokend.values.tokens import Lease

IN_PLACE_ADVICE = 'set write = "in-place" (readers may then see a half-written file), or mount the directory instead'
NOT_KEPT_ADVICE = 'let the daemon run as root or as the owner, or set write = "in-place", which keeps the file as it is'


class FileSink(SinkSettings):
    """A sink that is one file. A kind implements `render`, or `write_blocking` where it edits a file in place.

    Methods named ``…_blocking``, and `render`, run in a thread, one at a time per target; they raise only `SinkError`.
    """

    path: AnchoredPath
    owner: Name | None = None
    group: Name | None = None
    # None, where a kind allows it, means: as the file is; 0600 if it is new.
    mode: Mode | None = "0600"
    symlink: Literal["refuse", "follow", "replace"] = "refuse"
    write_mode: Literal["replace", "in-place"] = Field(default="replace", alias="write")
    on_change: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    signal: Signal | None = None
    systemd: Systemd | None = None

    @field_validator("path")
    @classmethod
    def _is_a_file(cls, value: Path) -> Path:
        if value.name in {"", ".."}:
            raise ValueError("write the path of a file, not of a directory")
        return value

    @property
    def target(self) -> str:
        """The file's path."""
        return str(self.path)

    @property
    def file_path(self) -> Path:
        """The file."""
        return self.path

    def exclusive_targets(self) -> frozenset[str]:
        """The file's real path: links and other spellings lead to the same file."""
        return frozenset({files.real_path(self.path)})

    # ------------------------------------------------------------------ plugin.sink.Sink

    async def write(self, runtime: SinkRuntime, lease: Lease) -> bool:
        """Make the file hold this token. True if it changed."""
        return await runtime.run_in_thread(lambda: self.write_blocking(lease))

    async def write_all(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> bool:
        """Make the file hold these tokens, for kinds with a key ``tokens``. True if it changed."""
        return await runtime.run_in_thread(lambda: self.write_all_blocking(lease, others))

    async def remove(self, runtime: SinkRuntime) -> bool:
        """Unlink the file; empty it where its inode has to stay. True if there was something to take away."""
        return await runtime.run_in_thread(self.remove_blocking)

    async def probe(self, runtime: SinkRuntime) -> None:
        """Raise `SinkError` where a write would fail for a reason that can be seen now; sweep what a crash left."""
        await runtime.run_in_thread(self.probe_blocking)

    async def announce(self, runtime: SinkRuntime) -> None:
        """Run the command, send the signal, ask systemd, as the settings say."""
        announcement = Announcement(self.on_change, self.signal, self.systemd)
        if announcement:
            await runtime.run_in_thread(lambda: announcement.make(self.target))

    # ------------------------------------------------------------------ in a thread

    def render(self, lease: Lease) -> bytes:
        """Make the file's whole content."""
        raise NotImplementedError

    def write_blocking(self, lease: Lease) -> bool:
        """Write the rendered content. True if the file changed."""
        content = self.render(lease)
        with self.operator_errors():
            return self.put(content)

    def write_all_blocking(self, lease: Lease, others: Mapping[str, Lease]) -> bool:
        """Write the content that is made of several tokens. True if the file changed."""
        raise NotImplementedError

    def remove_blocking(self) -> bool:
        """Take the token away. True if there was something to take away."""
        with self.operator_errors():
            if self.write_mode == "in-place":
                there = files.read_version(self.path, symlink=self.symlink).content is not None
                return there and files.write_in_place(self.path, b"", Ownership(), symlink=self.symlink)
            return files.remove_file(self.path, symlink=self.symlink)

    def probe_blocking(self) -> None:
        """Look for what would make a write fail."""
        with self.operator_errors():
            self.ownership()
            files.probe(self.path, symlink=self.symlink, in_place=self.write_mode == "in-place")

    def put(self, content: bytes, edited: Version | None = None) -> bool:
        """Write ``content`` in the way that the settings ask for; ``edited`` is what it was made from.

        Raises OSError, `ChangedError` among them where the file is not ``edited`` any more.
        """
        write = files.write_in_place if self.write_mode == "in-place" else files.replace_file
        return write(self.path, content, self.ownership(), symlink=self.symlink, edited=edited)

    def ownership(self) -> Ownership:
        """Mode and owner as numbers. Raises `SinkError` for a name that this machine does not know."""
        uid = None if self.owner is None else _number(self.owner, "owner", self.target)
        gid = None if self.group is None else _number(self.group, "group", self.target)
        return Ownership(mode=None if self.mode is None else int(self.mode, 8), uid=uid, gid=gid)

    @contextmanager
    def operator_errors(self) -> Iterator[None]:
        """Turn an OSError into a `SinkError`: path, what failed, and what to do where that is known."""
        try:
            yield
        except OSError as error:
            advice = ""
            if isinstance(error, NotKeptError):
                advice = f"; {NOT_KEPT_ADVICE}"
            elif error.errno in {errno.EBUSY, errno.EXDEV}:
                advice = f"; {IN_PLACE_ADVICE}"
            where = error.filename if isinstance(error.filename, str) else self.target
            raise SinkError(f"{where}: {error.strerror or type(error).__name__}{advice}") from None


def _number(name: str, what: str, target: str) -> int:
    if is_number(name):
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid if what == "owner" else grp.getgrnam(name).gr_gid
    except KeyError:
        raise SinkError(f"{target}: {what} {name!r} is not known on this machine") from None
