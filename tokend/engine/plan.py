"""What has to happen for the running providers to match a configuration. Pure; linear in their number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tokend.config import ProviderConfig


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one provider; ``origin`` is the name that a renamed one had."""

    name: str
    action: Literal["remove", "rename", "add", "change"]
    origin: str | None = None


def steps(running: Mapping[str, ProviderConfig], wanted: Mapping[str, ProviderConfig]) -> list[Step]:
    """The steps from ``running`` to ``wanted``, removals first; who did not change is not among them."""
    gone = {name: config for name, config in running.items() if name not in wanted}
    new = {name: config for name, config in wanted.items() if name not in running}
    origins = _origins(gone, new) if gone else {}
    for origin in origins.values():
        del gone[origin]
    found = [Step(name, "remove") for name in gone]
    for name, config in wanted.items():
        if name in origins:
            found.append(Step(name, "rename", origins[name]))
        elif name not in running:
            found.append(Step(name, "add"))
        elif running[name] != config:
            found.append(Step(name, "change"))
    return found


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
