"""The table ``headers`` of a kind whose token's headers have placeholders: what is sent with each call."""

from collections.abc import Collection, Iterator, Mapping

from tokend.plugin.declared.placeholders import Text, Value, as_text
from tokend.plugin.declared.request import Where
from tokend.plugin.declared.request_names import Values, text_faults
from tokend.plugin.declared.unfit_values import check_header
from tokend.values.secret import Secret

AUTHORIZATION = "Authorization"


def header_texts(configured: Mapping[str, str], authorization: str = "Bearer {token}") -> dict[str, Text]:
    """Return the headers: ``Authorization``, and the configured ones on top. An empty text removes a header.

    Names are compared without case. Raises ValueError for a text that cannot be read: see `header_faults`.
    """
    texts = {AUTHORIZATION: authorization}
    for name, text in configured.items():
        for old in [old for old in texts if old.lower() == name.lower()]:
            del texts[old]
        texts[name] = text
    return {name: Text.parse(text) for name, text in texts.items() if text}


def filled_headers(texts: Mapping[str, Text], names: Mapping[str, Value]) -> dict[str, Secret]:
    """Return the headers with the values of ``names``. An `UnfitValueError` names one that cannot carry its value."""
    for name, text in texts.items():
        check_header(name, text, names)
    return {name: Secret(as_text(text.fill(names))) for name, text in texts.items()}


def header_faults(configured: Mapping[str, str], values: Values, known: Collection[str]) -> Iterator[tuple[Where, str]]:
    """Yield what is wrong with the placeholders of ``headers``, each with the path of its key."""
    for name, text in configured.items():
        try:
            parsed = Text.parse(text)
        except ValueError as error:
            yield ("headers", name), str(error)
            continue
        yield from text_faults(parsed, values, known, ("headers", name))
