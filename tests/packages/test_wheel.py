"""The wheel: what it has beside the code, and that its `tokend init` needs no checkout."""

import configparser
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest

from tests.packages.test_man import PAGES, made
from tokend import __version__

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheel: pip install -r .ci/lock/build.txt")
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    [wheel] = directory.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory / "files")
    return directory / "files"


def files_below(directory: Path) -> set[Path]:
    return {path.relative_to(directory) for path in directory.rglob("*") if path.is_file()}


def test_man_pages_completions_and_units_are_in_it(unpacked: Path) -> None:
    """Below share/, where pip puts them into the environment. The pages are those of the package."""
    share = unpacked / f"tokend-{__version__}.data" / "data" / "share"
    for page in PAGES:
        assert (share / "man" / f"man{page.suffix[1:]}" / page.name).read_text() == made(page)
    for place in ("bash-completion/completions/tokend", "zsh/site-functions/_tokend"):
        assert "_TOKEND_COMPLETE" in (share / place).read_text()
    assert "_TOKEND_COMPLETE" in (share / "fish/vendor_completions.d/tokend.fish").read_text()
    assert files_below(share / "tokend/systemd") == files_below(ROOT / "systemd")
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(share / "tokend/systemd/tokend.service")
    assert unit["Service"]["ExecStart"].endswith("tokend run")


def test_init_writes_the_example_that_is_in_the_wheel(unpacked: Path, tmp_path: Path) -> None:
    """No checkout is near."""
    # Unmeasured: the coverage is that of the checkout, and these files are gone when it is reported.
    environ = {key: value for key, value in os.environ.items() if key != "COVERAGE_PROCESS_START"}
    done = subprocess.run(
        [sys.executable, "-m", "tokend", "init", "--output", "-"],
        cwd=tmp_path, env={**environ, "PYTHONPATH": str(unpacked)}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == (unpacked / "tokend/config.toml.example").read_text()
    assert done.stdout == (ROOT / "config.toml.example").read_text()


def test_the_vendors_are_in_it(unpacked: Path) -> None:
    """They are data, which a build may leave out."""
    assert files_below(unpacked / "tokend/vendors") == files_below(ROOT / "tokend/vendors") != set()


def test_the_pages_are_made_with_click_alone(tmp_path: Path) -> None:
    """It is the only library of ours where the wheel is built: a command imports others when it runs."""
    (tmp_path / "click").symlink_to(Path(click.__file__).parent)
    command = [sys.executable, "-S", str(ROOT / ".ci/manual.py"), str(PAGES[-1]), str(ROOT / "config.toml.example")]
    environ = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": os.environ["PATH"]}
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    assert (done.returncode, done.stderr) == (0, "")
