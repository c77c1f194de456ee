"""docs/vendor-files.md: its tables are configurations, its file's proofs hold, and it names every vendor."""

import re
from pathlib import Path

from tests.config.written import loaded, written
from tests.docs.pages import ROOT, blocks
from tests.vendors.player import play
from tests.vendors.proofs import proofs, vendors

PAGE = ROOT / "docs" / "vendor-files.md"


def test_its_tables_are_a_configuration(tmp_path: Path) -> None:
    """With the secrets that they name at their places."""
    text = blocks(PAGE, "toml")[0].text
    for place in re.findall(r'file = "(/[^"]+)"', text):
        text = text.replace(place, f"./{Path(place).name}")
        written(tmp_path, "obviously-fake-secret", name=Path(place).name)
    config = loaded(written(tmp_path, text))
    assert list(config.providers) == ["broker", "mail", "second-broker"]
    assert config.warnings == ()


def test_the_proofs_of_its_file_hold(tmp_path: Path) -> None:
    """An own vendor, as somebody who has only the page would write it."""
    path = written(tmp_path, blocks(PAGE, "toml")[1].text, name="vendors/acme.toml")
    (vendor,) = [one for one in vendors(path.parent) if one.name == "acme"]
    for proof in proofs(vendor):
        play(vendor, proof, path.parent)
    assert len(proofs(vendor)) == 2


def test_it_names_each_vendor_with_what_it_needs() -> None:
    """In a row of its table."""
    rows = dict(
        re.findall(r"^\| `([a-z0-9-]+)` \| (.*) \|$", PAGE.read_text().partition("## What counts")[0], re.MULTILINE)
    )
    wanted = {}
    for vendor in vendors():
        needed = [name for name, one in vendor.settings.placeholders.items() if one.default is None]
        wanted[vendor.name] = (vendor.settings.title, [*needed, *vendor.settings.needs])
    assert {name: (row.partition(" | ")[0], re.findall(r"`([^`]+)`", row)) for name, row in rows.items()} == wanted
