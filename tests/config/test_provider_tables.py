"""Tables of providers: their names, their kinds, their sinks."""

from pathlib import Path

import pytest

from tests.config.written import PARTNER, only, refused, written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("providers = 1\n", "providers are tables: [providers.NAME]"),
        ("[providers]\npartner = 1\n", "a provider is a table: [providers.partner]"),
        (PARTNER.replace("partner", "Partner"), 'did you mean "partner"?'),
        (PARTNER + "sinks = 1\n", "sinks are an array of tables: [[providers.partner.sinks]]"),
        (PARTNER + "sinks = [1]\n", "a sink is a table with a kind"),
        (PARTNER.replace("jwt", "jwtt"), 'did you mean "jwt"?'),
        (PARTNER.replace("kind", "kinde"), 'kind is missing; found "kinde"'),
        ('[providers.a.b]\nkind = "jwt"\n', 'a name with a dot stands in quotes: [providers."a.b"]'),
    ],
)
def test_a_table_that_is_no_provider_is_reported(tmp_path: Path, text: str, message: str) -> None:
    """With what to write."""
    assert message in only(refused(written(tmp_path, text))).message


def test_a_second_table_of_one_name_is_reported_with_the_first_one_s_place(tmp_path: Path) -> None:
    """The tables stand in two files."""
    written(tmp_path, PARTNER, name="conf.d/a.toml")
    main = written(tmp_path, 'include = ["conf.d/*.toml"]\n' + PARTNER)
    assert f"is defined twice; first at {main}:2" in only(refused(main)).message
