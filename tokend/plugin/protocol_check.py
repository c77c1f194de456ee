"""`isinstance` checks against protocols, cached by class."""

_known: dict[tuple[type, type], bool] = {}


def implements(thing: object, protocol: type) -> bool:
    """Return ``isinstance(thing, protocol)``, computed once per class.

    The check itself takes longer than everything else that the start of a provider does.
    """
    known = _known.get((type(thing), protocol))
    if known is None:
        known = _known[type(thing), protocol] = isinstance(thing, protocol)
    return known
