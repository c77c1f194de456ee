"""Checks of references: secrets that are another provider's token, ``{ token = "NAME" }``, or that are in a vault whose
credential is one."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from tokend.config.config_files import PlacedSettings
from tokend.config.fields import Visibility
from tokend.config.findings import Findings
from tokend.values.near_miss import did_you_mean

Key = tuple[str, ...]


def check_references(
    providers: Iterable[PlacedSettings],
    others: Iterable[PlacedSettings],
    origins: Mapping[str, object],
    on_demand: Collection[str],
    findings: Findings,
) -> None:
    """Report an error for each reference to no provider or to an on-demand provider, and for each circle.

    ``others`` are sinks and vaults. ``origins`` has the names of all providers. A provider that needs its own token, at
    once or by way of others, could never begin. A sink may use the token that it writes: it writes when that is there.
    """
    tables = {str(place.path[-1]): place for place in providers}
    for place in (*tables.values(), *others):
        for key, name in _references(place):
            if key[-1] == "vault":
                continue  # reported at the table of the vault
            if name not in origins:
                # Shown only if it resembles a name: somebody may have written the secret itself.
                near = did_you_mean(name, origins)
                visibility = Visibility.PLACES if near else Visibility.HIDDEN
                _report(place, key, f"there is no provider of this name{near}", findings, visibility)
            elif name in on_demand:
                _report(place, key, f"{name} is issued on demand: there is no token of it to use", findings)
    _check_circles(tables, findings)


def _check_circles(tables: Mapping[str, PlacedSettings], findings: Findings) -> None:
    """Report each circle of references once, at the first of its providers."""
    left = {name: [*_references(place)] for name, place in tables.items()}
    while left := _needing_each_other(left):
        way: list[str] = []
        following = next(iter(left))
        while following not in way:
            way.append(following)
            following = next(name for _, name in left[following] if name in left)
        circle = way[way.index(following) :]
        start = circle.index(min(circle, key=[*tables].index))
        circle = [*circle[start:], *circle[:start]]
        key = next(key for key, name in left[circle[0]] if name == circle[1 % len(circle)])
        _report(tables[circle[0]], key, _sentence(circle), findings)
        for name in circle:
            del left[name]


def _needing_each_other(left: dict[str, list[tuple[Key, str]]]) -> dict[str, list[tuple[Key, str]]]:
    """Return those of ``left`` that are in a circle, or need the token of one that is."""
    while free := {name for name, needs in left.items() if not any(other in left for _, other in needs)}:
        left = {name: needs for name, needs in left.items() if name not in free}
    return left


def _sentence(circle: list[str]) -> str:
    if len(circle) == 1:
        return f"{circle[0]} would need its own token to get it: name another provider"
    return f"each of these needs the next one's token, so that none could begin: {' → '.join([*circle, circle[0]])}"


def _references(place: PlacedSettings) -> Iterator[tuple[Key, str]]:
    """Yield key and name of each reference of a table."""
    for key, source in place.settings.secrets().items():
        if (name := source.needed_token) is not None:
            yield (*key.split("."), "vault" if source.token is None else "token"), name


def _report(
    place: PlacedSettings, key: Key, message: str, findings: Findings, visibility: Visibility = Visibility.PLACES
) -> None:
    path = (*place.path, *key)
    findings.errors.append(place.document.problem(path, message, visibility=visibility))
