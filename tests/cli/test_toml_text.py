"""Tables as TOML: what was written is what a TOML parser reads."""

import tomllib
from datetime import UTC, date, datetime, time
from typing import Any

import pytest

from tokend.cli.toml_text import Inline, Where, key_text, written

TABLE: dict[str, Any] = {
    "text": 'a "quoted" \\ line\nand\ttab \x7f \x00 é',
    "number": 5,
    "large": 2**62,
    "share": 1e-7,
    "flag": True,
    "array": ["a", 1, [2.5], {"b": "c"}],
    "place": Inline(file="/etc/x", encoding="base64"),
    "nothing": {},
    "none": [],
    "when": datetime(2026, 11, 30, 12, tzinfo=UTC),
    "day": date(2026, 11, 30),
    "hour": time(6, 0),
    "a key": {"with.dot": {"x": ""}, "y": 1},
    "rows": [{"a": 1, "inner": {"b": 2}}, {"a": 3}],
}


def test_a_parser_reads_what_was_written() -> None:
    """All types of TOML, keys that need quotes, tables below tables and in arrays."""
    assert tomllib.loads(written(TABLE, ("providers", "a.b"))) == {"providers": {"a.b": TABLE}}


def test_a_table_of_tables_has_no_header_of_its_own() -> None:
    """Unless it is the outermost, or one of an array."""
    table = {"parameters": {"uri": {"max": 1}, "mode": {"max": 2}}}
    assert written(table, ("t",)).splitlines() == [
        "[t]", "", "[t.parameters.uri]", "max = 1", "", "[t.parameters.mode]", "max = 2",
    ]  # fmt: skip


@pytest.mark.parametrize(("parts", "text"), [(("a", "b-1"), "a.b-1"), (("a.b",), '"a.b"'), (("",), '""')])
def test_keys_stand_in_quotes_where_they_must(parts: tuple[str, ...], text: str) -> None:
    """A dot in a name is no separator."""
    assert key_text(*parts) == text


def test_remarks_stand_beside_the_keys() -> None:
    """Beside a key; beside the first header of an array of tables, and then at none of its keys."""

    def remark(where: Where) -> str | None:
        return "here" if where in {("a",), ("b", "c"), ("rows",), ("others", 0, "x")} else None

    table = {"a": 1, "b": {"c": 2}, "rows": [{"a": 1}, {"a": 2}], "others": [{"x": 1}]}
    assert written(table, ("t",), remark).splitlines() == [
        "[t]", "a = 1  # here", "", "[t.b]", "c = 2  # here", "", "[[t.rows]]  # here", "a = 1", "", "[[t.rows]]",
        "a = 2", "", "[[t.others]]", "x = 1  # here",
    ]  # fmt: skip
