"""What has to happen for the running providers to match a configuration. Pure; linear in their number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tokend.config import ProviderConfig
from tokend.engine.policy.settings_change import is_surely_another_account
from tokend.plugin.settings import HeldSettings


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one provider; ``origin`` is the name that a renamed one had."""

    name: str
    action: Literal["remove", "rename", "add", "change"]
    origin: str | None = None


def steps(running: Mapping[str, ProviderConfig], wanted: Mapping[str, ProviderConfig]) -> list[Step]:
    """The steps from ``running`` to ``wanted``, removals first; who did not change is not among them.

    A name may pass from one provider to another that moves to it, or begins there: who had it has left it then. Two
    that swap their names are two that change.
    """
    gone = {name: config for name, config in running.items() if name not in wanted or _passes_on(config, wanted[name])}
    new = {name: config for name, config in wanted.items() if name not in running or name in gone}
    origins = _without_circles(_origins(gone, new)) if gone else {}
    moved = set(origins.values())
    found = [Step(name, "remove") for name in gone if name not in wanted and name not in moved]
    for name, config in wanted.items():
        if name in origins:
            found.append(Step(name, "rename", origins[name]))
        elif name not in running or name in moved:
            found.append(Step(name, "add"))
        elif running[name] != config:
            found.append(Step(name, "change"))
    return _in_order(found) if moved & wanted.keys() else found


def _passes_on(old: ProviderConfig, new: ProviderConfig) -> bool:
    """Tell whether nothing of what is held under a name can be the one's that has it next."""
    if old.settings is new.settings:
        return False
    if type(old.settings) is not type(new.settings):
        return True
    if not isinstance(old.settings, HeldSettings) or not isinstance(new.settings, HeldSettings):
        return False
    # A local kind's old token is served until the new one is minted: no gap, and nothing that would be lost.
    return not old.settings.local and is_surely_another_account(old.settings, new.settings)


def _origins(gone: Mapping[str, ProviderConfig], new: Mapping[str, ProviderConfig]) -> dict[str, str]:
    """For each name that appears with the settings of one that disappears: the name that it had. Each has one heir."""
    alike: dict[str, list[str]] = {}
    for name, config in gone.items():
        # Models cannot be hashed; those that are equal look equal, but not the other way round: secrets are not shown.
        alike.setdefault(repr(config.settings), []).append(name)
    origins = {}
    for name, config in new.items():
        candidates = alike.get(repr(config.settings), [])
        old = next((one for one in candidates if gone[one].settings == config.settings), None)
        if old is not None:
            origins[name] = old
            candidates.remove(old)
    return origins


def _without_circles(origins: dict[str, str]) -> dict[str, str]:
    """Leave out those that wait for each other to leave their names."""
    circling: set[str] = set()
    done: set[str] = set()
    for start in origins:
        path, name = [], start
        while name in origins and name not in done:
            done.add(name)
            path.append(name)
            name = origins[name]
        if name in path:
            circling.update(path[path.index(name) :])
    return {name: origin for name, origin in origins.items() if name not in circling}


def _in_order(found: list[Step]) -> list[Step]:
    """Whoever has a name leaves it before another comes to it."""
    leaving = {step.origin: step for step in found if step.origin is not None}
    ordered: dict[Step, None] = {}
    for step in found:
        chain = [step]
        while (before := leaving.get(chain[-1].name)) is not None and before not in ordered:
            chain.append(before)
        ordered.update(dict.fromkeys(reversed(chain)))
    return list(ordered)
