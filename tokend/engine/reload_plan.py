"""The plan of a reload: steps that make the running providers match a configuration. Pure; linear in their number."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from tokend.config import Config, ProviderConfig
from tokend.engine.policy.settings_change import is_surely_another_account
from tokend.plugin.settings import HeldSettings


@dataclass(frozen=True, slots=True)
class Step:
    """The change of one provider; ``origin`` is the name that a renamed one had."""

    name: str
    action: Literal["remove", "rename", "add", "change"]
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class ReloadPlan:
    """The steps to ``config``, made once: the dry run, the application, the log and the answer read the same plan.

    A plan is void after another one was applied. Iterating yields its rows for the API: ``name`` and ``action`` (add,
    change, rename, remove); untouched providers are left out.
    """

    config: Config
    steps: tuple[Step, ...]

    def __iter__(self) -> Iterator[Mapping[str, str]]:
        return ({"name": step.name, "action": step.action} for step in self.steps)

    def __len__(self) -> int:
        return len(self.steps)


def plan(running: Mapping[str, ProviderConfig], config: Config) -> ReloadPlan:
    """Plan the way from the ``running`` providers to ``config``."""
    return ReloadPlan(config, tuple(steps(running, config.providers)))


def steps(running: Mapping[str, ProviderConfig], wanted: Mapping[str, ProviderConfig]) -> list[Step]:
    """Compute the steps from ``running`` to ``wanted``, removals first; unchanged providers have none.

    A name may pass from one provider to another that is renamed to it, or added under it: the former one is renamed
    before that. Two that swap their names are two that change.
    """
    gone = {
        name: config
        for name, config in running.items()
        if name not in wanted or _is_other_account(config, wanted[name])
    }
    new = {name: config for name, config in wanted.items() if name not in running or name in gone}
    origins = _without_cycles(_origins(gone, new)) if gone else {}
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


def _is_other_account(old: ProviderConfig, new: ProviderConfig) -> bool:
    """Return whether nothing held under a name can belong to the provider that has the name next."""
    if old.settings is new.settings:
        return False
    if type(old.settings) is not type(new.settings):
        return True
    if not isinstance(old.settings, HeldSettings) or not isinstance(new.settings, HeldSettings):
        return False  # nothing is held
    # A local kind's old token is served until the new one is minted: no gap, and nothing that would be lost.
    return not old.settings.local and is_surely_another_account(old.settings, new.settings)


def _origins(gone: Mapping[str, ProviderConfig], new: Mapping[str, ProviderConfig]) -> dict[str, str]:
    """Find the former name of each new name that has the settings of one that is gone. No former name is used twice."""
    alike: dict[str, list[str]] = {}
    for name, config in gone.items():
        # Models cannot be hashed. Equal ones have equal reprs, but not the other way round: a repr shows no secret.
        alike.setdefault(repr(config.settings), []).append(name)
    origins = {}
    for name, config in new.items():
        candidates = alike.get(repr(config.settings), [])
        old = next((one for one in candidates if gone[one].settings == config.settings), None)
        if old is not None:
            origins[name] = old
            candidates.remove(old)
    return origins


def _without_cycles(origins: dict[str, str]) -> dict[str, str]:
    """Leave out renames that wait for each other: two or more providers that swap their names."""
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
    """Order the steps: a provider leaves its name before another one takes it."""
    leaving = {step.origin: step for step in found if step.origin is not None}
    ordered: dict[Step, None] = {}
    for step in found:
        chain = [step]
        while (before := leaving.get(chain[-1].name)) is not None and before not in ordered:
            chain.append(before)
        ordered.update(dict.fromkeys(reversed(chain)))
    return list(ordered)
