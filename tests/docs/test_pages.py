"""Links, paths and names on the pages lead somewhere, and the README is short."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.pages import PAGES as FOR_USERS
from tests.docs.pages import ROOT, blocks
from tokend import __version__

PAGES = sorted({*FOR_USERS, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "tests" / "bench" / "README.md"})
README = ROOT / "README.md"


def test_the_first_two_shell_blocks_are_the_demo_and_the_tests() -> None:
    """A newcomer pastes them; CI runs both as they stand."""
    demo, tests = blocks(README, "sh")[:2]
    assert demo.text == "pip install . && tokend demo\n"
    assert tests.text == (
        "pip install --require-hashes -r .ci/lock/build.txt\n"
        "pip install --require-hashes --no-build-isolation -r .ci/lock/test.txt\n"
        "pip install --no-deps --no-build-isolation . && pytest -q -n 4\n"
    )


def test_the_package_has_the_version_of_this_tree() -> None:
    """docs/operating.md shows the name of a file that is built from here."""
    names = re.findall(r"tokend_([\d.]+)-1_amd64\.deb", (ROOT / "docs/operating.md").read_text())
    assert set(names) == {__version__}


def test_the_readme_is_short() -> None:
    """At most 200 lines of at most 120 columns."""
    lines = README.read_text().splitlines()
    assert len(lines) <= 200
    assert [line for line in lines if len(line) > 120] == []


def test_every_decision_is_listed() -> None:
    """The page of decisions links each of them by its title."""
    listed = (ROOT / "docs/decisions/README.md").read_text()
    for page in (ROOT / "docs/decisions").glob("0*.md"):
        title = page.read_text().partition("\n")[0].split(". ", 1)[1]
        assert f"[{title}]({page.name})" in listed


def test_every_page_is_listed() -> None:
    """By docs/README.md, so that a reader finds it."""
    listed = (ROOT / "docs/README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in listed, page.name


def test_metrics_that_pages_name_exist() -> None:
    """By the names in the source."""
    sources = "".join(path.read_text() for path in (ROOT / "tokend").rglob("*.py"))
    for page in PAGES:
        for name in re.findall(r"`(tokend_[a-z_]+)", page.read_text()):
            assert f'"{name.removesuffix("_total")}"' in sources, (page, name)  # the library adds _total to counters


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
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
def test_files_that_pages_name_are_there(page: Path) -> None:
    """Paths of this project in backticks; a path below a room may leave out ``tokend/``."""
    rooms = "|".join(path.name for path in (ROOT / "tokend").iterdir() if path.is_dir())
    text = page.read_text()
    for path in re.findall(r"`((?:tokend|tests|docs|systemd|scripts)/[\w./-]*\.\w+)`", text):
        assert (ROOT / path).exists(), path
    for path in re.findall(rf"`((?:{rooms})/[\w./-]*)`", text):
        assert (ROOT / "tokend" / path).exists() or (ROOT / path).exists(), path


def test_the_drawing_of_the_rooms_is_the_contract() -> None:
    """docs/architecture.md shows the layers of pyproject.toml, and its table has each room."""
    page = (ROOT / "docs/architecture.md").read_text()
    drawing = page.partition("<!-- rooms -->\n```\n")[2].partition("```")[0]
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [layer.split(" | ") for layer in contract["layers"]]
    assert [line.split() for line in drawing.splitlines()] == layers
    for room in (room for layer in layers[1:] for room in layer):
        assert re.search(rf"^\| `{room}(?:/|\.py)` \| ", page, re.MULTILINE), room


def test_facts_that_the_code_refers_to_are_written_down() -> None:
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
