"""What all file sinks share: where, whose, with which mode, and how errors are told. The content is each kind's own."""

import errno
import grp
import pwd
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from tokend import files
from tokend.errors import SinkError
from tokend.files import Ownership
from tokend.settings import AnchoredPath, SinkSettings
from tokend.sinks.announce import Announcement, Signal, Systemd
from tokend.tokens import Lease

_MODE = re.compile(r"0[0-7]{3}", re.ASCII)
IN_PLACE_ADVICE = 'set write = "in-place" (readers may then see a half-written file), or mount the directory instead'


def _mode(value: object) -> object:
    if not isinstance(value, str) or not _MODE.fullmatch(value):
        raise ValueError('a mode is an octal string: "0600", "0640"')
    return value


Mode = Annotated[str, BeforeValidator(_mode)]


class FileSink(SinkSettings):
    """A sink that is one file. Subclasses give the content by `render`."""

    path: AnchoredPath
    owner: str | None = None
    group: str | None = None
    # None, where a kind allows it, means: as the file is; 0600 if it is new.
    mode: Mode | None = "0600"
    symlink: Literal["refuse", "follow", "replace"] = "refuse"
    write_mode: Literal["replace", "in-place"] = Field(default="replace", alias="write")
    on_change: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    signal: Signal | None = None
    systemd: Systemd | None = None

    @field_validator("owner", "group")
    @classmethod
    def _name(cls, value: str | None) -> str | None:
        if value is not None and not value:
            raise ValueError("write a name or a number")
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

    def put(self, content: bytes, ownership: Ownership | None = None) -> bool:
        """Write ``content`` by the settings' way. Raises OSError."""
        if self.write_mode == "in-place":
            return files.write_in_place(self.path, content, symlink=self.symlink)
        return files.replace_file(self.path, content, ownership or self.ownership(), symlink=self.symlink)

    def remove(self) -> bool:
        """Unlink the file. True if there was one."""
        with self.told():
            return files.remove_file(self.path, symlink=self.symlink)

    def probe(self) -> None:
        """Raise `SinkError` where a write would fail for a reason that can be seen now; sweep what a crash left."""
        with self.told():
            self.ownership()
            files.sweep(self.path)
            files.probe(self.path, symlink=self.symlink)

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
            advice = f"; {IN_PLACE_ADVICE}" if error.errno in {errno.EBUSY, errno.EXDEV} else ""
            if error.errno == errno.EPERM and "chown" in (error.strerror or ""):
                advice = f"; the daemon may not give files away: run it as root or in that group, or {IN_PLACE_ADVICE}"
            named = str(error.filename or "")
            where = named if Path(named).is_absolute() else self.target
            raise SinkError(f"{where}: {error.strerror or type(error).__name__}{advice}") from None


def _number(name: str, what: str, target: str) -> int:
    if name.isdigit():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid if what == "owner" else grp.getgrnam(name).gr_gid
    except KeyError:
        raise SinkError(f"{target}: {what} {name!r} is not known on this machine") from None
