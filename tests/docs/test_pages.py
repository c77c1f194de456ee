"""What the pages show is true: commands, configurations, links."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.readme import README, blocks, configuration
from tokend.kinds import load_config

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "tests" / "bench" / "README.md"])
ENVIRON = {
    "PROJECT_X_USERNAME": "a-user",
    "PROJECT_X_API_KEY": "a-fake-key",
    "WALLET_AUTH_KEY": "a-fake-key",
    "WALLET_ENC_KEY": "a-fake-secret",
    "CLIENT_SECRET": "a-fake-secret",
}


def test_the_first_two_shell_blocks_are_the_demo_and_the_tests():
    """A newcomer pastes them; CI runs both as they stand."""
    assert blocks("sh")[:2] == ["pip install . && tokend demo\n", "pip install '.[test]' && pytest -q -n 2\n"]


def test_the_configurations_together_are_one_that_loads(tmp_path: Path):
    """Every TOML block of the README, their secrets' files beside them."""
    for name in ("tt.key", "tt.secret", "partner.secret", "listen.secret"):
        (tmp_path / name).write_text("obviously-fake-and-long-enough-for-HS256\n")
    config = tmp_path / "config.toml"
    config.write_text(configuration().replace("/etc/tokend", str(tmp_path)))
    config.chmod(0o600)
    loaded = load_config(config, environ=ENVIRON)
    assert set(loaded.providers) == {"tt", "topstepx", "partner", "wallet", "login-links"}


def test_the_help_is_the_help():
    """Pasted from a real run, and still what it prints."""
    done = subprocess.run([sys.executable, "-m", "tokend", "--help"], capture_output=True, text=True, check=True)
    assert f"$ tokend --help\n{done.stdout.rstrip()}\n" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    """Relative links name files that are there, and anchors headings that are there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        place = page if not file else page.parent / file
        assert place.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", place.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings], target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_pages_name_are_there(page: Path):
    """Paths of this project in backticks."""
    for path in re.findall(r"`((?:tokend|tests|docs|systemd)/[\w./-]*\.\w+)`", page.read_text()):
        assert (ROOT / path).exists(), path


def test_facts_that_the_code_refers_to_are_written_down():
    """``docs/promises.md 85``: the page has the number; ``docs/vendors.md, tt``: the page has the heading."""
    promises, vendors = (ROOT / "docs/promises.md").read_text(), (ROOT / "docs/vendors.md").read_text()
    for source in (ROOT / "tokend").rglob("*.py"):
        text = source.read_text()
        for number in re.findall(r"docs/promises\.md (\d+)", text):
            assert re.search(rf"(^|[\s,–]){number}[\s,–]", promises), (source, number)
        for heading in re.findall(r"docs/vendors\.md, ([a-z-]+)", text):
            assert f"## {heading}\n" in vendors, (source, heading)
        for page in re.findall(r"docs/decisions/(\d{4})", text):
            assert list((ROOT / "docs/decisions").glob(f"{page}-*.md")), (source, page)
