"""The table in force: merged, with the origin of each key."""

from pathlib import Path

import pytest

from tests.config.vendor_texts import USER, with_vendor
from tests.config.written import PARTNER, loaded, written
from tokend.config.findings import InvalidConfigError
from tokend.config.table_in_force import table_in_force


def test_each_key_has_its_origin(tmp_path: Path) -> None:
    """The user's have a line, the vendor's the key in its file."""
    config = loaded(with_vendor(tmp_path, USER + 'answer = { extra = { more = "more" } }\n'))
    table = table_in_force(config, "acme")
    assert table.values["answer"] == {"extra": {"shard": "shard", "more": "more"}, "lifetime": "1h"}
    assert "vendor" not in table.values
    assert table.vendor == "acme"
    vendor = tmp_path / "vendors/acme.toml"
    assert table.origin(("token_url",)) == (vendor, None, "provider.token_url")
    assert table.origin(("answer", "lifetime")) == (vendor, None, "provider.answer.lifetime")
    assert table.origin(("client_id",)) == (tmp_path / "config.toml", 3, "providers.acme.client_id")
    assert table.origin(("answer", "extra", "more"))[1] == 5


def test_a_table_without_a_vendor_is_as_it_is_written(tmp_path: Path) -> None:
    """Its keys have lines."""
    table = table_in_force(loaded(written(tmp_path, PARTNER)), "partner")
    assert table.defaults is None
    assert table.values["kind"] == "jwt"
    assert table.origin(("secret",)) == (tmp_path / "config.toml", 3, "providers.partner.secret")


def test_a_file_that_has_changed_since_is_reported(tmp_path: Path) -> None:
    """It is read again."""
    config = loaded(with_vendor(tmp_path))
    written(tmp_path, USER.replace('"acme"', '"gone"'))
    with pytest.raises(InvalidConfigError, match="there is no vendor"):
        table_in_force(config, "acme")
    written(tmp_path, "[")
    with pytest.raises(InvalidConfigError):
        table_in_force(config, "acme")
