"""Structural `isinstance` checks, cached by class."""

_known: dict[tuple[type, type], bool] = {}


def implements(thing: object, protocol: type) -> bool:
    """`isinstance`, once for each class: to ask a protocol takes longer than all else that starting a provider does."""
    known = _known.get((type(thing), protocol))
    if known is None:
        known = _known[type(thing), protocol] = isinstance(thing, protocol)
    return known
