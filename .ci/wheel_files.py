"""Build hook of hatchling: what the wheel has beside the code.

The example of the configuration goes into the package, where `tokend init` reads it. Man pages, completions and
systemd's units go to share/ of the environment: pip puts them there, pipx links the man pages.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPLETIONS = {
    "bash": "bash-completion/completions/tokend",
    "zsh": "zsh/site-functions/_tokend",
    "fish": "fish/vendor_completions.d/tokend.fish",
}


class WheelFiles(BuildHookInterface):  # type: ignore[type-arg]  # its configuration class is hatchling's own
    """Make the files while the wheel is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files; an editable installation has them in the checkout."""
        if self.target_name != "wheel" or version == "editable":
            return
        root = Path(self.root)
        self._made = Path(tempfile.mkdtemp(prefix="tokend-wheel-"))
        build_data["force_include"][str(root / "config.toml.example")] = "tokend/config.toml.example"
        places = {**self._pages(root), **self._units(root)}
        shared = {str(source): f"share/{place}" for place, source in sorted(places.items())}
        build_data["shared_data"].update(shared)

    def finalize(self, *_: object) -> None:
        """Remove what was made for the wheel."""
        if (made := getattr(self, "_made", None)) is not None:
            shutil.rmtree(made, ignore_errors=True)

    def _pages(self, root: Path) -> dict[str, Path]:
        """Make man pages and completions; returns their places below share/."""
        found = {}
        manual, example = root / ".ci" / "manual.py", root / "config.toml.example"
        for page in sorted((root / "docs" / "man").iterdir()):
            place = f"man/man{page.suffix[1:]}/{page.name}"
            found[place] = self._output(place, [str(manual), str(page), str(example)])
        for shell, place in COMPLETIONS.items():
            found[place] = self._output(place, ["-m", "tokend", "completion", shell])
        return found

    def _units(self, root: Path) -> dict[str, Path]:
        systemd = root / "systemd"
        files = (path for path in systemd.rglob("*") if path.is_file())
        return {f"tokend/systemd/{path.relative_to(systemd).as_posix()}": path for path in files}

    def _output(self, place: str, arguments: list[str]) -> Path:
        """Run Python with the code that is built, and keep what it prints."""
        path = self._made / place
        path.parent.mkdir(parents=True, exist_ok=True)
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([self.root, *sys.path]), "PYTHONDONTWRITEBYTECODE": "1"}
        with path.open("wb") as file:
            subprocess.run([sys.executable, *arguments], env=environ, stdout=file, check=True, cwd=self.root)
        return path
