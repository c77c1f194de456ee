"""Queries on settings models about one key."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from tokend.config.fields import (
    Visibility,
    allowed_values,
    is_visible,
    known_and_public_keys,
    known_keys,
    secret_fields,
    visibility,
)
from tokend.plugin.secret_source import SecretField
from tokend.providers.github_app import GithubApp


class Inner(BaseModel):
    depth: int = 0
    tone: Literal["high", "low"] | None = None


class Outer(BaseModel):
    name: str
    key: SecretField
    address: str = Field(default="", repr=False)
    free: dict[str, str] = {}
    written: Annotated[str, Field(alias="write")] = "replace"
    inner: Inner | None = None
    rows: list[Inner] = []


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ((), Visibility.HIDDEN),
        (("name",), Visibility.PUBLIC),
        (("key",), Visibility.PLACES),
        (("address",), Visibility.HIDDEN),
        (("free",), Visibility.HIDDEN),
        (("free", "Authorization"), Visibility.HIDDEN),
        (("inner", "depth"), Visibility.PUBLIC),
        (("inner",), Visibility.PUBLIC),
        (("write",), Visibility.PUBLIC),
        (("nowhere",), Visibility.HIDDEN),
    ],
)
def test_a_value_is_shown_as_far_as_its_field_allows(where: tuple[str | int, ...], expected: Visibility) -> None:
    """A field with repr=False may hold a secret, and so may a dict."""
    assert visibility(Outer, where) is expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("wrtie", Visibility.PUBLIC),
        ("something_else", Visibility.HIDDEN),
        ("kee", Visibility.HIDDEN),
        ("addres", Visibility.HIDDEN),
        ("literal", Visibility.HIDDEN),
    ],
)
def test_an_unknown_key_is_shown_only_where_it_nearly_is_a_public_one(key: str, expected: Visibility) -> None:
    """Any other unknown key may hold a secret."""
    assert visibility(Outer, (key,)) is expected


def test_only_the_place_of_a_secret_is_shown_beside_a_problem_in_its_table() -> None:
    """Only env, file, credential and encoding of this table are shown, no literal and no value elsewhere."""
    at = ("key", "env")
    assert is_visible(("key", "env"), at, Visibility.PLACES)
    assert is_visible(("key", "encoding"), at, Visibility.PLACES)
    assert not is_visible(("key", "literal"), at, Visibility.PLACES)
    assert not is_visible(("other", "env"), at, Visibility.PLACES)
    assert not is_visible(("key", "env"), at, Visibility.HIDDEN)


def test_known_keys_and_allowed_values_of_a_table() -> None:
    """Keys have their TOML names. A dict has no known keys, and a value that is no table has none."""
    assert known_keys(Outer, ()) == ["address", "free", "inner", "key", "name", "rows", "write"]
    assert known_keys(Outer, ("inner",)) == ["depth", "tone"]
    assert known_keys(Outer, ("free",)) == known_keys(Outer, ("name",)) == known_keys(Outer, ("nowhere",)) == []
    assert allowed_values(Outer, ("inner", "tone")) == ["high", "low"]
    assert allowed_values(GithubApp, ("permissions", "contents")) == ["read", "write", "admin"]
    assert (
        allowed_values(Outer, ("name",))
        == allowed_values(Outer, ("nowhere",))
        == allowed_values(Outer, ("free", "x"))
        == []
    )


def test_secrets_are_found_by_their_type() -> None:
    """The field's name does not matter."""
    assert secret_fields(Outer) == ["key"]


def test_a_word_is_public_only_if_it_is_in_every_model() -> None:
    """One kind's public key may be another kind's secret."""

    class Other(BaseModel):
        name: SecretField
        size: int

    known, public = known_and_public_keys([Outer, Other])
    everything: set[Any] = {"address", "depth", "free", "inner", "key", "name", "rows", "size", "tone", "write"}
    assert everything <= known
    assert {"depth", "size", "tone", "write"} <= public
    assert not public & {"address", "env", "file", "free", "key", "name"}


class Variable(BaseModel):
    place: str


class WithVariables(BaseModel):
    env: dict[str, Variable] | None = None


class Nested(BaseModel):
    text: str = ""
    parts: tuple["Nested", ...] = ()


def test_a_table_with_tables_of_its_own_sort_is_looked_at_once() -> None:
    """And not for ever."""
    Nested.model_rebuild()
    assert known_and_public_keys([Nested])[0] == {"text", "parts"}


def test_the_keys_of_a_dict_of_tables_are_the_operators_and_those_of_its_tables_are_known() -> None:
    """Of the latter a misspelt one has a "did you mean"."""
    assert known_keys(WithVariables, ("env",)) == []
    assert known_keys(WithVariables, ("env", "KEY")) == ["place"]
    assert known_keys(WithVariables, ("env", "KEY", "place")) == []
    assert visibility(WithVariables, ("env", "KEY", "place")) is Visibility.HIDDEN
