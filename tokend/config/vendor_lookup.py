"""The vendors' files: those of tokend, and those of this machine's administrator. Blocks."""

from collections.abc import Callable, Iterable
from pathlib import Path

import tokend
from tokend.config.config_files import Document, read_document
from tokend.config.findings import ConfigProblem, Findings
from tokend.config.included_files import INCLUDED_NAME
from tokend.config.toml_messages import Vocabulary
from tokend.config.vendor_file import Vendor, read_vendor

BUILT_IN = Path(tokend.__file__).parent / "vendors"
_built_in: dict[str, Vendor] = {}


class VendorLookup:
    """The vendors by name, read when they are asked for. Errors of their files are added to ``findings``, once.

    ``own`` are the directories of the administrator's files, which need not exist. ``documents`` has those of his files
    that were read. tokend's own files are read once in a process: they belong to the code that runs. A start goes on
    without an administrator's file that has errors, and without a vendor that two files have: there they are warnings.
    """

    def __init__(
        self,
        own: Iterable[Path],
        findings: Findings,
        vocabulary: Callable[[], Vocabulary] = lambda: Vocabulary(frozenset(), frozenset()),
        *,
        reloading: bool = False,
    ) -> None:
        self._own = tuple(own)
        self._findings = findings
        self._vocabulary = vocabulary
        self._reloading = reloading
        self._read: dict[str, Vendor | None] = {}
        self._paths: dict[str, Path] | None = None
        self._twice: set[str] = set()
        # The administrator's files that are used, also those with errors.
        self.own_files: list[Path] = []
        self.documents: list[Document] = []

    @property
    def watched(self) -> tuple[Path, ...]:
        """The administrator's files that are used, also those with errors, and the directories that may hold some."""
        return (*self.own_files, *(place for place in self._own if place.is_dir()))

    def names(self) -> list[str]:
        """Return the name of each vendor, sorted."""
        return sorted(self._listed())

    def get(self, name: str) -> Vendor | None:
        """Return the vendor; None if no file has this name, or if its file has errors."""
        if name not in self._read:
            path = self._listed().get(name)
            self._read[name] = None if path is None or name in self._twice else self._vendor(name, path)
        return self._read[name]

    def __contains__(self, name: str) -> bool:
        """Return whether a file has this name."""
        return name in self._listed()

    def _vendor(self, name: str, path: Path) -> Vendor | None:
        is_built_in = path.parent == BUILT_IN
        if is_built_in and name in _built_in:
            return _built_in[name]
        if is_built_in:
            document = read_document(path, self._findings, self._vocabulary, reloading=False, included=True)
            vendor = None if document is None else read_vendor(name, document, self._findings, is_built_in=True)
            if vendor is not None:
                _built_in[name] = vendor
            return vendor
        self.own_files.append(path)
        own = Findings(starting=self._findings.starting, in_shell=self._findings.in_shell)
        document = read_document(path, own, self._vocabulary, reloading=self._reloading, included=True)
        vendor = None if document is None else read_vendor(name, document, own, is_built_in=False)
        if document is not None:
            self.documents.append(document)
        self._findings.warnings += own.warnings
        for problem in own.errors:
            self._findings.of_this_machine(problem)
        return vendor

    def _listed(self) -> dict[str, Path]:
        if self._paths is None:
            self._paths = {path.stem: path for path in _files(BUILT_IN, self._findings)}
            for directory in self._own:
                for path in _files(directory, self._findings):
                    first = self._paths.setdefault(path.stem, path)
                    if first != path:
                        self._refuse_second(path, first)
        return self._paths

    def _refuse_second(self, path: Path, first: Path) -> None:
        there = "is one of tokend's own" if first.parent == BUILT_IN else f"is in {first} already"
        message = f'vendor "{path.stem}" {there}, and no file replaces another: give this one another name'
        self._twice.add(path.stem)
        self._findings.of_this_machine(ConfigProblem(str(path), 1, 1, message))


def _files(directory: Path, findings: Findings) -> list[Path]:
    """Return the vendors' files of a directory, sorted. Editors' backups and hidden files are no vendors."""
    try:
        names = sorted(path.name for path in directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        message = f"this directory cannot be read: {error.strerror}"
        findings.of_this_machine(ConfigProblem(str(directory), 1, 1, message))
        return []
    return [directory / name for name in names if name[0] != "." and INCLUDED_NAME.fullmatch(name)]
