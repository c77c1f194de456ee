"""Values that do not fit where a table has them: in a header, a URL, a body. Nothing is sent then.

For an on-demand kind that is a caller's error where his parameters are what does not fit.
"""

from collections.abc import Iterable, Mapping

from tokend.plugin.declared.placeholders import Placeholder, Text, Value, as_text
from tokend.plugin.text import fits_header
from tokend.values.errors import InvalidParametersError, TransientError
from tokend.values.secret import Secret


class UnfitValueError(TransientError):
    """A value does not fit: nothing was sent, and waiting does not change that.

    ``names`` are those of the placeholders to which that is due; empty: not known. Where another request does instead,
    it follows in the same attempt.
    """

    def __init__(self, message: str, names: Iterable[str] = ()) -> None:
        super().__init__(message, is_sent=False)
        self.names = frozenset(names)


def check_header(name: str, text: Text, values: Mapping[str, Value]) -> None:
    """Raise `UnfitValueError` where a header cannot carry its text."""
    if (names := unfit_names(text, values)) is not None:
        raise unfit_header(name, text, names)


def unfit_header(name: str, text: Text, names: Iterable[str]) -> UnfitValueError:
    """Return the error of a header that cannot carry its text, which is due to ``names``."""
    why = "it is not one line of ASCII without outer spaces"
    return UnfitValueError(f"the header {name} cannot carry what stands for {text.shown}: {why}", names)


def unfit_names(text: Text, values: Mapping[str, Value]) -> tuple[str, ...] | None:
    """Return the names that no header can carry, None if nothing is wrong; empty where it must be a secret."""
    filled = text.fill(values)
    if fits_header(as_text(filled)):
        return None
    last = len(text.parts) - 1
    odd = [
        part.name
        for index, part in enumerate(text.parts)
        if isinstance(part, Placeholder) and _is_odd(values[part.name], is_outer=index in {0, last})
    ]
    return tuple(odd) or (() if isinstance(filled, Secret) else text.names)


def _is_odd(value: Value, *, is_outer: bool) -> bool:
    if isinstance(value, Secret):
        return False
    text = as_text(value)
    return not (text.isascii() and text.isprintable()) or (is_outer and (not text or text != text.strip()))


def refuse_parameters(error: UnfitValueError, needs: Iterable[str], parameters: Mapping[str, str]) -> None:
    """Raise `InvalidParametersError` where what does not fit is made of a caller's parameters; else return.

    ``needs`` are all names that those of the error need.
    """
    if blamed := sorted(set(needs) & parameters.keys()):
        errors = {name: [f"does not fit: {error.detail}"] for name in blamed}
        raise InvalidParametersError(errors, is_sent=False) from None
