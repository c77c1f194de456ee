"""docs/oauth2.md: each table is a configuration."""

import re
from pathlib import Path

import pytest

from tests.config.written import loaded, written
from tests.docs.pages import ROOT, blocks
from tests.providers.oauth2.test_client_authentication import PEMS

PAGE = ROOT / "docs" / "oauth2.md"


@pytest.mark.parametrize("text", [block.text for block in blocks(PAGE, "toml")], ids=lambda text: text.split("]")[0])
def test_a_table_is_a_configuration(text: str, tmp_path: Path) -> None:
    """With the secrets that it names at their places."""
    for place in re.findall(r'file = "(/[^"]+)"', text):
        text = text.replace(place, f"./{Path(place).name}")
        written(tmp_path, PEMS["RS256"], name=Path(place).name)
    config = loaded(written(tmp_path, text))
    assert [provider.settings.kind for provider in config.providers.values()] == ["oauth2"]
    assert config.warnings == ()
