"""Places of secrets, as a configuration names them."""

import pytest
from pydantic import ValidationError

from tests.plugin.test_secret_reading import PLANTED, source
from tokend.plugin.secret_source import SecretSource


@pytest.mark.parametrize("table", [{}, {"env": "A", "file": "b"}, {"enf": "A"}, 5, ["a"]])
def test_a_secret_is_exactly_one_place(table: dict[str, str] | int | list[str]) -> None:
    """No place, two places and unknown places are refused. The error does not quote the input."""
    with pytest.raises(ValidationError):
        source(table)


def test_equality_compares_places_and_repr_shows_no_literal() -> None:
    """A reload sees a change of place. A repr never shows a literal."""
    assert source({"env": "A"}) == source({"env": "A"}) != source({"env": "B"})
    assert source(PLANTED) == source(PLANTED) != source("other")
    assert PLANTED not in repr(source(PLANTED)) + str(source(PLANTED))
    assert isinstance(source(PLANTED), SecretSource)


@pytest.mark.parametrize("path", ["", "a\0b", "~/key"])
def test_a_path_that_cannot_be_meant_is_refused_before_it_is_used(path: str) -> None:
    """The system's own error would be unclear, or a directory named ~ would be created."""
    with pytest.raises(ValidationError):
        source({"file": path})


@pytest.mark.parametrize("name", ["", "$KEY", "KEY=x", "a\0b"])
def test_an_environment_variable_is_named_without_a_dollar(name: str) -> None:
    """Nothing is interpolated: { env = "$KEY" } would mean a variable of that name."""
    with pytest.raises(ValidationError, match="name of an environment variable"):
        source({"env": name})


def test_a_key_named_literal_is_not_there() -> None:
    """A literal is written as a plain string only."""
    with pytest.raises(ValidationError, match="there is no key literal"):
        source({"literal": PLANTED})


@pytest.mark.parametrize("name", ["", "Name", "a b", "a/b", "ghp_PLANTED", "a" * 65, "-a"])
def test_a_token_is_named_as_its_provider_is(name: str) -> None:
    """What cannot be a provider's name may be the secret itself: the error does not quote it."""
    with pytest.raises(ValidationError, match="write the name of the provider") as error:
        source({"token": name})
    assert not name or f" {name}" not in error.value.errors()[0]["msg"]


def test_a_token_is_shown_by_its_provider() -> None:
    """Names of more than 40 characters are not shown: a secret may stand there."""
    assert str(source({"token": "login.one"})) == "token login.one"
    assert str(source({"token": "a" * 41})) == "token (not shown)"
    assert source({"token": "a"}).place == "token a"
    assert source({"token": "a"}) != source({"token": "b"})
