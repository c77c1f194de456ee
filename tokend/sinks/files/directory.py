"""Kind ``directory``: several files that change together, each rendered by a template of its own."""

import os
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator

from tokend import files
from tokend.plugin.sink import Difference
from tokend.plugin.templates import render
from tokend.sinks.files.base import FileSink
from tokend.sinks.files.drift import is_trusted_place
from tokend.values.errors import SinkError
from tokend.values.tokens import Lease

# A name must not begin with two dots: those are the names of the sets.
_NAME = re.compile(r"(?!\.\.)[A-Za-z0-9._-]{1,200}", re.ASCII)


class DirectorySink(FileSink):
    """A directory of files, which are switched at once: ``files`` has the template of each by its name.

    ``owner``, ``group``, ``mode`` and ``readers`` are those of each file. The directory is made if it is missing.
    """

    kind: Literal["directory"] = "directory"
    files: Annotated[dict[str, str], Field(min_length=1, repr=False)]
    # Names of other held tokens, checked by `config.cross_checks`.
    tokens: Annotated[tuple[str, ...], Field(strict=False)] = ()
    symlink: Literal["refuse"] = "refuse"
    write_mode: Literal["replace"] = Field(default="replace", alias="write")

    @field_validator("files")
    @classmethod
    def _are_names(cls, value: dict[str, str]) -> dict[str, str]:
        wrong = next((name for name in value if not _NAME.fullmatch(name) or name == "."), None)
        if wrong is not None:
            raise ValueError(f"{wrong!r} is no name: letters, digits, dots, - and _, without two dots at its beginning")
        return value

    def writes_below(self, path: str) -> bool:
        """Return whether a path is one of the names in the directory, or lies within a set."""
        below = path.removeprefix(f"{files.real_path(self.path).rstrip('/')}/")
        return below != path and (below in self.files or below.startswith(".."))

    def write_blocking(self, lease: Lease) -> bool:
        """Write the set for one token. True if it changed."""
        return self.write_all_blocking(lease, {})

    def write_all_blocking(self, lease: Lease, others: Mapping[str, Lease]) -> bool:
        """Write the set for these tokens. True if it changed."""
        contents = self._contents(lease, others)
        with self.operator_errors():
            return files.replace_set(self.path, contents, self.kept_ownership(None))

    def remove_blocking(self) -> bool:
        """Remove the files; the directory stays. True if there were any."""
        with self.operator_errors():
            return files.remove_set(self.path)

    def probe_blocking(self) -> None:
        """Check names and directory for `probe`."""
        with self.operator_errors():
            self.ownership()
            where = self.path if self.path.is_dir() else self.path.parent
            if not where.is_dir():
                raise SinkError(f"{self.target}: {where} does not exist")
            if not os.access(where, os.W_OK | os.X_OK, effective_ids=True):
                raise PermissionError(13, "not writable for this daemon (access)", str(where))

    def stamp(self) -> object:
        """Return the stamps of the directory and of its files."""
        return files.set_stamp(self.path, self.files)

    def difference(self, lease: Lease, others: Mapping[str, Lease], good: object) -> Difference | None:  # noqa: ARG002  # of the interface
        """Compare the files with what they must hold."""
        contents = self._contents(lease, others)
        with self.operator_errors():
            found = files.set_difference(self.path, contents, self.kept_ownership(None))
        if found is None:
            return None
        what, uid = found
        foreign = uid not in {None, 0, os.geteuid()} and not is_trusted_place(self.path)
        return Difference(what, found_uid=uid, is_foreign=foreign)

    def _contents(self, lease: Lease, others: Mapping[str, Lease]) -> dict[str, bytes]:
        return {name: render(f"{self.target}: {name}", text, lease, others) for name, text in self.files.items()}
