"""A secret that is no field of its own is refused when the kind is imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Optional, TypeAlias, TypedDict, Union

import pytest
from pydantic import Field, SecretStr, create_model
from typing_extensions import TypeAliasType

from tokend.plugin.field_roles import Role
from tokend.plugin.secret_check import secret_faults
from tokend.plugin.secret_source import SecretField, SecretSource
from tokend.plugin.settings_base import Settings
from tokend.values.secret import Secret


class Part(Settings):
    pw: SecretField


class Tree(Settings):
    branches: "tuple[Tree, ...]" = ()
    leaf: Part | None = None


class Harmless(Settings):
    again: "Harmless | None" = None
    words: dict[str, list[int]] | None = None


class Special(SecretSource):
    pass


@dataclass
class Data:
    pw: SecretField


class Typed(TypedDict):
    pw: SecretField


class Named(NamedTuple):
    pw: SecretField


Alias = TypeAliasType("Alias", list[SecretField])
Plain: TypeAlias = SecretField

INSIDE = "secrets are fields of their own: field many holds a secret inside "


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (list[SecretField], f"{INSIDE}a list; declare it as many: SecretField"),
        (dict[str, SecretField], f"{INSIDE}a dict; "),
        (Mapping[str, SecretField | None], f"{INSIDE}a Mapping; "),
        (Annotated[tuple[SecretField, ...], Field(strict=False)] | None, f"{INSIDE}a tuple; "),
        (Part, f"{INSIDE}the table Part; "),
        (list[Part], f"{INSIDE}the table Part; "),
        (Optional[Tree], f"{INSIDE}the table Part; "),  # noqa: UP045  (the old form is another object)
        (Data, f"{INSIDE}the table Data; "),
        (Typed, f"{INSIDE}the table Typed; "),
        (Named, f"{INSIDE}the table Named; "),
        (Alias, f"{INSIDE}a list; "),
        (Secret, "field many is of the type Secret; declare it as many: SecretField"),
        (list[Secret], "field many is of the type Secret; "),
        (SecretStr | None, "field many is of the type SecretStr; "),
        (Special, "field many is a subclass of SecretSource; "),
        (SecretField | str, "field many may hold a secret or another value; declare it as many: SecretField | None"),
    ],
)
def test_a_hidden_secret_is_a_fault(annotation: Any, said: str) -> None:
    """The text names the field and what to write; one fault for each field."""
    faults = secret_faults(create_model("Kind", __base__=Settings, many=(annotation, ...), other=(str, "x")))
    assert len(faults) == 1
    assert said in faults[0]


@pytest.mark.parametrize(
    "annotation",
    [
        SecretField,
        SecretSource,
        Plain,
        SecretField | None,
        Optional[SecretField],  # noqa: UP045
        Union[None, SecretField],  # noqa: UP007
        Annotated[SecretField | None, Role.ACCOUNT],
        Annotated[SecretField, Role.ACCOUNT] | None,
        Harmless,
        Any,
        dict[str, Any],
    ],
)
def test_a_secret_of_its_own_is_no_fault(annotation: Any) -> None:
    """These are the forms that `secrets` sees."""
    assert secret_faults(create_model("Kind", __base__=Settings, many=(annotation, None))) == []
