"""Base class of the file sinks: path, owner, mode, error messages, threads. Each kind makes its own content.

`FileSink` implements `plugin.sink.Sink`: each asynchronous method runs its ``…_blocking`` counterpart in a thread.
"""

import grp
import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from tokend import files
from tokend.files import Ownership, Version
from tokend.files.acl import Reader
from tokend.files.advice import advice_on
from tokend.files.ownership import own_group
from tokend.plugin.kind_check import method_fault
from tokend.plugin.settings import AnnouncementTiming, PlaceFinding, SinkSettings
from tokend.plugin.settings_base import AnchoredPath, Duration, Mode, Name, Strings, is_number
from tokend.plugin.sink import Difference, SinkRuntime
from tokend.sinks.files.announce import Announcement, Signal, Systemd
from tokend.sinks.files.drift import Expected, content_phrase, is_trusted_place, ownership_phrases
from tokend.sinks.files.places import place_findings
from tokend.sinks.files.remarks import remarks_on
from tokend.values.errors import SinkError
from tokend.values.status import StatusWarning
from tokend.values.tokens import Lease

GROUP_BITS = 0o070


class FileSink(SinkSettings):
    """A sink whose target is one file. A kind implements `render`, or `write_blocking` if it edits an existing file.

    `render` and the methods named ``…_blocking`` run in a thread, one at a time per target. They raise only
    `SinkError`.
    """

    # Whether a new file gets the owner of the one that it replaces.
    keeps_owner: ClassVar[bool] = False

    path: AnchoredPath
    owner: Name | None = None
    group: Name | None = None
    # None (if the kind allows it) keeps the mode of an existing file. A new file gets 0600.
    mode: Mode | None = "0600"
    readers: Strings = ()
    symlink: Literal["refuse", "follow", "replace"] = "refuse"
    write_mode: Literal["replace", "in-place"] = Field(default="replace", alias="write")
    on_change: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    signal: Signal | None = None
    systemd: Systemd | None = None
    debounce: Duration | None = None
    splay: Duration | None = None
    # Whether a file that another program has changed is written again.
    drift: Literal["repair", "report"] = "repair"

    @field_validator("path")
    @classmethod
    def _is_a_file(cls, value: Path) -> Path:
        if value.name in {"", ".."}:
            raise ValueError("write the path of a file, not of a directory")
        return value

    @field_validator("readers")
    @classmethod
    def _name_users_and_groups(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for reader in value:
            kind, _, name = reader.partition(":")
            if kind not in {"user", "group"} or not name:
                raise ValueError('a reader is "user:NAME" or "group:NAME"')
        return value

    @field_validator("debounce", "splay")
    @classmethod
    def _delays_something(cls, value: timedelta | None, info: ValidationInfo) -> timedelta | None:
        if value is not None and not any(info.data.get(key, "invalid") for key in ("on_change", "signal", "systemd")):
            raise ValueError(f"{info.field_name} delays on_change, signal and systemd, and none of them is set")
        return value

    @property
    def target(self) -> str:
        """The file's path."""
        return str(self.path)

    @property
    def file_path(self) -> Path:
        """The file's path."""
        return self.path

    def exclusive_targets(self) -> frozenset[str]:
        """Return the file's real path: links and other spellings of the path lead to the same file."""
        return frozenset({files.real_path(self.path)})

    def announcement_timing(self) -> AnnouncementTiming | None:
        """Return the delays of the announcement, None if there is none."""
        if not self._announcement():
            return None
        debounce, splay = (0.0 if value is None else value.total_seconds() for value in (self.debounce, self.splay))
        return AnnouncementTiming(debounce, splay)

    def _announcement(self) -> Announcement:
        return Announcement(self.on_change, self.signal, self.systemd)

    def place_findings(self) -> Iterator[PlaceFinding]:
        """Return whether somebody else made a file that is written in place, or cannot read one in his directory."""
        if self.owner is None and not self.readers:
            in_place = self.write_mode == "in-place"
            yield from place_findings(
                self.path, mode=self.mode, group=self.group, in_place=in_place, keeps_owner=self.keeps_owner
            )

    @classmethod
    def own_faults(cls) -> list[str]:
        """Return a fault for each method that a kind lacks or declares with another signature."""
        if not _overrides(cls, "render", "write_blocking", "write"):
            return ["it has no method render: write def render(self, lease), which returns bytes"]
        wanted = [name for name in _IN_A_THREAD if _overrides(cls, name)]
        faults = [method_fault(cls, name, vars(FileSink)[name]) for name in wanted]
        if "tokens" in cls.model_fields and not _overrides(cls, "write_all_blocking", "write_all"):
            faults.append("it has no method write_all_blocking: write def write_all_blocking(self, lease, others)")
        return [fault for fault in faults if fault is not None]

    # ------------------------------------------------------------------ plugin.sink.Sink

    async def write(self, runtime: SinkRuntime, lease: Lease) -> bool:
        """Make the file hold this token. True if the file changed."""
        return await runtime.run_in_thread(lambda: self.write_blocking(lease))

    async def write_all(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> bool:
        """Make the file hold these tokens, for kinds with a key ``tokens``. True if the file changed."""
        return await runtime.run_in_thread(lambda: self.write_all_blocking(lease, others))

    async def remove(self, runtime: SinkRuntime) -> bool:
        """Unlink the file; empty it if ``write = "in-place"``. True if the file changed."""
        return await runtime.run_in_thread(self.remove_blocking)

    async def probe(self, runtime: SinkRuntime) -> None:
        """Raise `SinkError` if a write would fail for a reason that can be seen now. Removes files left by a crash."""
        await runtime.run_in_thread(self.probe_blocking)

    async def announce(self, runtime: SinkRuntime) -> None:
        """Run the command, send the signal and reload the unit, if they are configured."""
        if not (announcement := self._announcement()):
            return
        await runtime.run_in_thread(lambda: announcement.make(self.target))

    # ------------------------------------------------------------------ plugin.sink.WatchedSink

    def stamp(self) -> object:
        """Return the file's stamp."""
        return files.stamp(self.path)

    def difference(self, lease: Lease, others: Mapping[str, Lease], good: object) -> Difference | None:
        """Compare the file with what it must hold: content, owner, group and mode."""
        with self.operator_errors():
            expected = self.expected(lease, others)
            found = files.observe(self.path, at_most=expected.at_most, symlink=self.symlink)
            if found.content is None:
                return Difference("it was deleted")
            wanted = self.kept_ownership(good).completed(found.ownership)
            is_right = expected.holds(found.content)
            phrases = [*ownership_phrases(found.ownership, wanted)]
            if not is_right:
                phrases.insert(0, content_phrase(found.content))
            if not phrases:
                return None
            foreign = wanted.uid is not None and found.ownership.uid != wanted.uid
            return Difference(
                ", ".join(phrases),
                found_uid=found.ownership.uid,
                is_foreign=foreign and not is_trusted_place(self.path),
                content=not is_right,
            )

    async def repair(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease], good: object) -> bool:  # noqa: ARG002  # of the interface
        """Write the file again. True if it changed."""
        return await (self.write_all(runtime, lease, others) if others else self.write(runtime, lease))

    def expected(self, lease: Lease, others: Mapping[str, Lease]) -> Expected:
        """Make what the file must hold with these tokens.

        A kind that edits its file is not compared: its edit finds out whether something has changed.
        """
        if not _overrides(type(self), "render"):
            return Expected(0, lambda _: self.drift == "report")
        content = self.rendered(lease, others)
        return Expected(len(content) + 1, lambda found: found == content)

    def rendered(self, lease: Lease, others: Mapping[str, Lease]) -> bytes:  # noqa: ARG002  # for kinds with tokens
        """Make the file's whole content from several tokens."""
        return self.render(lease)

    def kept_ownership(self, good: object) -> Ownership:
        """Return the ownership that the file must have now: as configured, else as it was when tokend saw it right.

        A file that is replaced as a whole belongs to this process.
        """
        wanted = self.ownership()
        if self.mode is not None and self.write_mode == "replace":
            return replace(wanted, uid=os.geteuid() if wanted.uid is None else wanted.uid)
        seen = good.ownership if isinstance(good, files.Stamp) else None
        if seen is None:
            return wanted
        if self.readers and self.mode is None:
            # The mode that was seen contains the mask of the ACL: the rights of the file's group are in the file only.
            return replace(wanted, uid=seen.uid if wanted.uid is None else wanted.uid,
                           gid=seen.gid if wanted.gid is None else wanted.gid)  # fmt: skip
        return wanted.over(seen)

    def remarks(self) -> list[StatusWarning]:
        """Return warnings about an ACL that the file keeps, and about a file that nobody else can read."""
        readers, mode = bool(self.readers), self.mode is not None
        shared = self.owner is not None or self.group is not None or readers
        return list(remarks_on(self.path, has_mode=mode, readers=readers, shared=shared))

    # ------------------------------------------------------------------ in a thread

    def render(self, lease: Lease) -> bytes:
        """Make the file's whole content."""
        raise NotImplementedError

    def write_blocking(self, lease: Lease) -> bool:
        """Write the rendered content. True if the file changed."""
        content: object = self.render(lease)
        if not isinstance(content, bytes):
            what = f"render returned {type(content).__name__}, bytes are expected"
            raise SinkError(f"{self.target}: kind {self.kind}: {what}")
        with self.operator_errors():
            return self.put(content)

    def write_all_blocking(self, lease: Lease, others: Mapping[str, Lease]) -> bool:
        """Write the content made from several tokens. True if the file changed."""
        raise NotImplementedError

    def remove_blocking(self) -> bool:
        """Unlink the file; empty it if ``write = "in-place"``. True if the file changed."""
        with self.operator_errors():
            if self.write_mode == "in-place":
                there = files.read_version(self.path, symlink=self.symlink).content is not None
                return there and files.write_in_place(self.path, b"", Ownership(), symlink=self.symlink)
            return files.remove_file(self.path, symlink=self.symlink)

    def probe_blocking(self) -> None:
        """Check names, directory and file for `probe`."""
        with self.operator_errors():
            self.ownership()
            files.probe(self.path, symlink=self.symlink, in_place=self.write_mode == "in-place")

    def put(self, content: bytes, edited: Version | None = None, ownership: Ownership | None = None) -> bool:
        """Replace or overwrite the file as the settings say. True if the file changed.

        ``edited`` is the version of the file that ``content`` was made from. ``ownership`` is used instead of the
        configured one. Raises OSError; its subclass `ChangedError` if the file is not ``edited`` any more.
        """
        write = files.write_in_place if self.write_mode == "in-place" else files.replace_file
        wanted = self.kept_ownership(None) if ownership is None else ownership
        return write(self.path, content, wanted, symlink=self.symlink, edited=edited)

    def ownership(self) -> Ownership:
        """Return mode, owner and group as numbers. Raises `SinkError` for a name that this machine does not know.

        Without a key ``group``, rights of the group are for the daemon's own group, also in a file that exists.
        """
        uid = None if self.owner is None else _number(self.owner, "owner", self.target)
        gid = None if self.group is None else _number(self.group, "group", self.target)
        mode = None if self.mode is None else int(self.mode, 8)
        if gid is None and mode is not None and mode & GROUP_BITS and self.write_mode == "replace":
            gid = own_group()
        return Ownership(mode=mode, uid=uid, gid=gid, readers=tuple(self._readers()))

    def _readers(self) -> Iterator[Reader]:
        for reader in self.readers:
            kind, _, name = reader.partition(":")
            what: Literal["user", "group"] = "user" if kind == "user" else "group"
            yield what, _number(name, what, self.target)

    @contextmanager
    def operator_errors(self) -> Iterator[None]:
        """Turn an OSError into a `SinkError`: the file's path, the part of it that failed, reason, and any advice."""
        try:
            yield
        except OSError as error:
            gid = None if self.group is None or self.owner is not None else _number(self.group, "group", self.target)
            advice = advice_on(error, self.path, gid=gid)
            reason = error.strerror or type(error).__name__
            part = error.filename if isinstance(error.filename, str) else self.target
            where = self.target if part == self.target or part in reason else f"{self.target}: {part}"
            raise SinkError(f"{where}: {reason}{advice and '; '}{advice}") from None


_IN_A_THREAD = ("render", "write_blocking", "write_all_blocking", "remove_blocking", "probe_blocking")


def _overrides(model: type[FileSink], *names: str) -> bool:
    """Return whether a kind declares at least one of these methods itself."""
    return any(getattr(model, name) is not vars(FileSink)[name] for name in names)


def _number(name: str, what: Literal["owner", "user", "group"], target: str) -> int:
    if is_number(name):
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid if what == "group" else pwd.getpwnam(name).pw_uid
    except KeyError:
        raise SinkError(f"{target}: {what} {name!r} is not known on this machine") from None
