"""Tables of environment variables: text, and places of secrets."""

from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from tokend.plugin.secret_check import secret_faults
from tokend.plugin.secret_reading import files_of
from tokend.plugin.secret_table import SecretTable, Variables
from tokend.plugin.settings_base import Settings
from tokend.values.secret import Secret

LOOKS_SECRET = "ghp_obviouslyFakeObviouslyFake0123456789"


class WithTable(Settings):
    """Settings with such a table."""

    env: Variables = SecretTable()


def table(values: dict[str, Any]) -> SecretTable:
    return cast(SecretTable, WithTable.model_validate({"env": values}, context={"directory": "/etc/fake"}).env)


def test_a_text_is_no_secret_unless_it_looks_like_one() -> None:
    """A region needs no warning that a secret stands in the file."""
    found = table({"REGION": "eu", "KEY": {"file": "/run/key"}, "PASTED": LOOKS_SECRET, "_t1": {"token": "other"}})
    assert {key: str(source) for key, source in found.secrets("env").items()} == {
        "env.KEY": "file /run/key",
        "env.PASTED": "literal in the configuration",
        "env._t1": "token other",
    }
    assert found.text() == {name: found[name] for name in ("REGION", "PASTED")}
    assert found["REGION"].literal == Secret("eu")
    assert LOOKS_SECRET not in repr(found)


@pytest.mark.parametrize(
    "values", [{"A-B": "x"}, {"1A": "x"}, {"": "x"}, {"A=": "x"}, {"A": "x\0"}, {"A": 1}, {"A": {}}]
)
def test_what_no_environment_can_hold_is_refused(values: dict[str, Any]) -> None:
    """The program would not start."""
    with pytest.raises(ValidationError):
        table(values)


def test_the_files_of_the_table_are_files_that_are_read() -> None:
    """They are watched, and no sink may write there."""
    assert [*files_of(WithTable(env=table({"KEY": {"file": "key"}, "OTHER": {"command": ["id"]}})))] == [
        Path("/etc/fake/key")
    ]


def test_the_check_of_kinds_accepts_this_table_and_no_other() -> None:
    """Of any other table nobody would read the secrets."""

    class Other(Settings):
        env: dict[str, Any]
        secrets: dict[str, Secret]

    assert secret_faults(WithTable) == []
    assert len(secret_faults(Other)) == 1
