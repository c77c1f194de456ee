"""Values that no header can carry, and whose names are to blame."""

import copy

import pytest

from tokend.plugin.declared.placeholders import Text, Value
from tokend.plugin.declared.unfit_values import UnfitValueError, check_header, refuse_parameters, unfit_names
from tokend.values.errors import InvalidParametersError
from tokend.values.secret import Secret


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{good}", None), ("{good} {good}", None), ("{secret}", None), ("a {empty} b", None),
        ("{odd}", ("odd",)), ("{good} {odd}", ("odd",)), ("{secret} {odd}", ("odd",)), ("{good}{outer}", ("outer",)),
        ("{secret} {empty}", ("empty",)), ("{wrong}", ()), ("{wrong} {good}", ()), ("{number} ", ("number",)),
    ],
)  # fmt: skip
def test_the_names_that_do_not_fit_are_known(text: str, names: tuple[str, ...] | None) -> None:
    """Nothing is said of a text with a secret in which nothing else is odd."""
    values: dict[str, Value] = {
        "good": "a", "odd": "a\nb", "outer": "a ", "empty": "", "secret": Secret("fake"), "wrong": Secret("fa\nke"),
        "number": 5,
    }  # fmt: skip
    assert unfit_names(Text.parse(text), values) == names


def test_the_error_names_the_header_and_shows_no_value() -> None:
    """It is copied where it is stored."""
    with pytest.raises(UnfitValueError, match=r"the header X-A cannot carry what stands for \{a\}: it") as found:
        check_header("X-A", Text.parse("{a}"), {"a": "planted\n"})
    assert "planted" not in str(found.value)
    assert copy.copy(found.value).names == {"a"}
    assert not found.value.is_sent
    check_header("X-A", Text.parse("{a}"), {"a": "b"})


def test_callers_parameters_are_refused_where_they_are_what_does_not_fit() -> None:
    """Otherwise the error stays what it is."""
    error = UnfitValueError("it is too long", ["sum"])
    with pytest.raises(InvalidParametersError) as found:
        refuse_parameters(error, ["sum", "note", "secret"], {"note": "x", "other": "y"})
    assert found.value.errors == {"note": ("does not fit: it is too long",)}
    refuse_parameters(error, ["sum", "secret"], {"note": "x"})
