"""The places of secrets, as the configuration names them."""

import pytest
from pydantic import ValidationError

from tests.plugin.test_secret_reading import PLANTED, source
from tokend.plugin.secret_source import SecretSource


@pytest.mark.parametrize("table", [{}, {"env": "A", "file": "b"}, {"enf": "A"}, 5, ["a"]])
def test_a_secret_is_exactly_one_place(table):
    """None, two, unknown or no place at all are refused; the input is not quoted."""
    with pytest.raises(ValidationError):
        source(table)


def test_equality_compares_places_and_repr_shows_no_literal():
    """A reload sees a change of place; a literal never shows."""
    assert source({"env": "A"}) == source({"env": "A"}) != source({"env": "B"})
    assert source(PLANTED) == source(PLANTED) != source("other")
    assert PLANTED not in repr(source(PLANTED)) + str(source(PLANTED))
    assert isinstance(source(PLANTED), SecretSource)


@pytest.mark.parametrize("path", ["", "a\0b", "~/key"])
def test_a_path_that_cannot_be_meant_is_refused_before_it_is_used(path):
    """No error of the system's with a meaning of its own, and no directory named ~."""
    with pytest.raises(ValidationError):
        source({"file": path})


@pytest.mark.parametrize("name", ["", "$KEY", "KEY=x", "a\0b"])
def test_an_environment_variable_is_named_without_a_dollar(name):
    """There is no interpolation: { env = "$KEY" } would look for a variable of that name."""
    with pytest.raises(ValidationError, match="name of an environment variable"):
        source({"env": name})


def test_a_key_named_literal_is_not_there():
    """A literal is a plain string: two ways to write one would be one too many."""
    with pytest.raises(ValidationError, match="there is no key literal"):
        source({"literal": PLANTED})
