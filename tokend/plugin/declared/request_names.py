"""Names of a declared request: which it needs, directly and for its values, and what is wrong with them.

``{query}`` of a value that stands in the query itself is the query without the pairs that need it, in their order: as
vendors sign it that take the signature as a parameter. A path or a body that needs itself is a circle.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from tokend.plugin.declared.built_in_names import BUILT_IN, REQUEST_PARTS
from tokend.plugin.declared.computed_value import ComputedValue
from tokend.plugin.declared.placeholders import Text, unknown_name
from tokend.plugin.declared.request import RequestSettings, Where
from tokend.values.near_miss import did_you_mean

Values = Mapping[str, ComputedValue]

# As placeholders have them.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# What a kind fills in itself: {token}, {extra.X}, {login.X}, {refresh_token}, {state}, {redirect_uri}.
RESERVED = frozenset({"token", "extra", "login", "refresh_token", "state", "redirect_uri"})


def needed(request: RequestSettings, values: Values) -> frozenset[str]:
    """Return all names that a request needs: its placeholders, and what their values are computed of."""
    return _closure((name for _, name in request.names()), values, request)


def needed_by(names: Iterable[str], values: Values, request: RequestSettings | None = None) -> frozenset[str]:
    """Return all names that a text needs: one of ``request``, or one outside a request, as of ``headers`` or claims."""
    return _closure(names, values, request)


def free_pairs(request: RequestSettings, values: Values) -> list[Text]:
    """Return the pairs of the query that do not need the query themselves."""
    pairs = request.url.pairs(request.query)
    return [pair for pair in pairs if "query" not in _closure(pair.names, values, request, within_query=True)]


def body_names(request: RequestSettings) -> frozenset[str]:
    """Return the names that stand in the body."""
    return frozenset(name for where, name in request.names() if where[0] in {"json", "form", "text"})


def faults(
    request: RequestSettings,
    values: Values,
    known: Collection[str],
    where: Where,
    parameters: Collection[str] = (),
) -> Iterator[tuple[Where, str]]:
    """Yield what is wrong with the names of a request, each with the path of its key.

    ``known`` are the names that the kind gives, ``where`` is the path of the request's table. What is wrong
    within the values is not repeated: `value_faults`. All of ``known`` are secrets, or made of them, but the callers'
    ``parameters``.
    """
    all_known = [*known, *values, *BUILT_IN]
    if request.url.is_metadata_server and (secret := sorted(needed(request, values) & set(known) - set(parameters))):
        advice = "https:// only, or http:// to loopback, where a secret stands in the request"
        yield (*where, "url"), f"http:// to a metadata server would send {{{secret[0]}}} in clear: {advice}"
    for below, name in request.names():
        if (fault := unknown_name([name], all_known)) is not None:
            yield (*where, *below), fault
            continue
        reached = _closure([name], values, request)
        own = "body" if below[0] in {"json", "form", "text"} else "path" if _is_in_path(request, below, name) else None
        if own is not None and own in reached:
            advice = "send it in a header or in the query" if own == "body" else "it cannot stand there"
            yield (*where, *below), f"{{{name}}} is computed over the {own} in which it stands, a circle: {advice}"
        for lacking in sorted(one for one in reached - {name} if _is_of_kind(one) and one not in known):
            yield (*where, *below), f"{{{name}}} is computed of {lacking}, which there is not here"


def text_faults(text: Text, values: Values, known: Collection[str], where: Where) -> Iterator[tuple[Where, str]]:
    """Yield what is wrong with the names of a text outside a request, whose path is ``where``: no request's part."""
    names = [*known, *values, *(name for name in BUILT_IN if name not in REQUEST_PARTS)]
    for name in text.names:
        if (fault := unknown_name([name], names)) is not None:
            yield where, fault
            continue
        reached = needed_by([name], values)
        for part in sorted(reached & set(REQUEST_PARTS)):
            yield where, f"{{{name}}} is computed of the {part} of a request, and there is none here"
        for lacking in sorted(one for one in reached - {name} if _is_of_kind(one) and one not in known):
            yield where, f"{{{name}}} is computed of {lacking}, which there is not here"


def value_faults(values: Values, known: Collection[str]) -> Iterator[tuple[Where, str]]:
    """Yield what is wrong within ``[values]``: unknown names, and values that are computed of themselves.

    ``known`` are the names that the kind gives to any of its requests.
    """
    all_known = [*known, *values, *BUILT_IN]
    for value, computed in values.items():
        for below, name in computed.names():
            if name not in all_known:
                yield ("values", value, *below), _unknown(name, all_known, is_part="parts" in below)
        if (way := _way_back(value, values)) is not None:
            yield ("values", value), f"it is computed of itself, a circle: {' → '.join(way)}"


def name_faults(
    secrets: Iterable[str], values: Iterable[str], parameters: Iterable[str] = ()
) -> Iterator[tuple[Where, str]]:
    """Yield what is wrong with the names that a table declares: each is one word, declared once, and not built in."""
    taken: dict[str, str] = {}
    for table, names in (("secrets", secrets), ("values", values), ("parameters", parameters)):
        for name in names:
            if not _NAME.fullmatch(name):
                yield (table, name), "a name is letters, digits and _, and begins with no digit: it stands in {…}"
            elif name in BUILT_IN or name in RESERVED:
                yield (table, name), f"{{{name}}} is built in: choose another name"
            elif name in taken:
                yield (table, name), f"{taken[name]} has this name, too: {{{name}}} could be either"
            taken.setdefault(name, f"{table}.{name}")


def _closure(
    names: Iterable[str], values: Values, request: RequestSettings | None, *, within_query: bool = False
) -> frozenset[str]:
    """Return the names and all that they need. ``within_query``: what the query needs is left out."""
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        if name in values:
            waiting += [used for _, used in values[name].names()]
        elif request is not None and not (within_query and name == "query"):
            waiting += _part_names(request, name, values)
    return frozenset(reached)


def _part_names(request: RequestSettings, name: str, values: Values) -> Iterable[str]:
    if name == "path":
        return request.url.path.names
    if name == "query":
        return [used for pair in free_pairs(request, values) for used in pair.names]
    return body_names(request) if name == "body" else ()


def _is_in_path(request: RequestSettings, below: Where, name: str) -> bool:
    return below == ("url",) and name in request.url.path.names


def _is_of_kind(name: str) -> bool:
    return name.partition(".")[0] in RESERVED


def _way_back(start: str, values: Values) -> list[str] | None:
    """Return the way from a value to itself; None if there is none."""
    waiting, seen = [[start]], set()
    while waiting:
        way = waiting.pop(0)
        for _, name in values[way[-1]].names():
            if name == start:
                return [*way, name]
            if name in values and name not in seen:
                seen.add(name)
                waiting.append([*way, name])
    return None


def _unknown(name: str, known: Collection[str], *, is_part: bool) -> str:
    if name.startswith("{") and name[1:-1] in known:
        return f'a name stands alone here, without braces: "{name[1:-1]}"'
    advice = "; a text is written { text = … }" if is_part else ""
    return f'there is no name "{name}" here{did_you_mean(name, known) or advice}'
