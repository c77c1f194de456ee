"""What all file sinks share: where, whose, with which mode, and how errors are told. The content is each kind's own."""

import errno
import grp
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from tokend import files
from tokend.files import NotKeptError, Ownership, Version
from tokend.plugin.settings import SinkSettings
from tokend.plugin.settings_base import AnchoredPath, Mode, Name, is_number
from tokend.sinks.files.announce import Announcement, Signal, Systemd
from tokend.values.errors import SinkError
from tokend.values.tokens import Lease

IN_PLACE_ADVICE = 'set write = "in-place" (readers may then see a half-written file), or mount the directory instead'
NOT_KEPT_ADVICE = 'let the daemon run as root or as the owner, or set write = "in-place", which keeps the file as it is'


class FileSink(SinkSettings):
    """A sink that is one file. Subclasses give the content by `render`."""

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
        """The file."""
        return str(self.path)

    def render(self, lease: Lease) -> bytes:
        """The file's whole content. Raises `SinkError`."""
        raise NotImplementedError

    def write(self, lease: Lease) -> bool:
        """Make the file hold this token. True if it changed."""
        content = self.render(lease)
        with self.told():
            return self.put(content)

    def put(self, content: bytes, edited: Version | None = None) -> bool:
        """Write ``content`` by the settings' way. Raises OSError."""
        way = files.write_in_place if self.write_mode == "in-place" else files.replace_file
        return way(self.path, content, self.ownership(), symlink=self.symlink, edited=edited)

    def remove(self) -> bool:
        """Unlink the file; empty it where its inode has to stay. True if there was something to take away."""
        with self.told():
            if self.write_mode == "in-place":
                there = files.read_version(self.path, symlink=self.symlink).content is not None
                return there and files.write_in_place(self.path, b"", Ownership(), symlink=self.symlink)
            return files.remove_file(self.path, symlink=self.symlink)

    def probe(self) -> None:
        """Raise `SinkError` where a write would fail for a reason that can be seen now; sweep what a crash left."""
        with self.told():
            self.ownership()
            files.probe(self.path, symlink=self.symlink, in_place=self.write_mode == "in-place")

    def announce(self) -> None:
        """Run the command, send the signal, ask systemd, as the settings say."""
        Announcement(self.on_change, self.signal, self.systemd).make(self.target)

    def ownership(self) -> Ownership:
        """Mode and owner as numbers. Raises `SinkError` for a name that this machine does not know."""
        uid = None if self.owner is None else _number(self.owner, "owner", self.target)
        gid = None if self.group is None else _number(self.group, "group", self.target)
        return Ownership(mode=None if self.mode is None else int(self.mode, 8), uid=uid, gid=gid)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn an OSError into the operator's sentence: path, what failed, and what to do where that is known."""
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
