"""A class that cannot be a kind says what is missing when it is imported, not at its first attempt."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import pytest

from tokend.kinds import PROVIDERS, SINKS
from tokend.plugin.kind_check import provider_faults, sink_faults
from tokend.plugin.settings import HeldSettings, NetworkSettings, OnDemandSettings


class Held(HeldSettings):
    """The least that a held kind has to have."""

    async def fetch(self, runtime: Any, previous: Any) -> Any:
        raise NotImplementedError


class Issuing(OnDemandSettings):
    """The least that an on-demand kind has to have."""

    def check(self, parameters: Mapping[str, str]) -> None:
        raise NotImplementedError

    async def issue(self, runtime: Any, parameters: Mapping[str, str]) -> Any:
        raise NotImplementedError


def test_what_is_built_in_can_be_used() -> None:
    """And the least that a kind can be."""
    for name, model in PROVIDERS.all().items():
        assert provider_faults(name, model) == []
    for name, sink in SINKS.all().items():
        assert sink_faults(name, sink) == []
    assert provider_faults("anything", Held) == provider_faults("anything", Issuing) == []


class Blocking(HeldSettings):
    def fetch(self, runtime: Any, previous: Any) -> Any:
        raise NotImplementedError


class Short(HeldSettings):
    async def fetch(self, runtime: Any) -> Any:
        raise NotImplementedError


class NeedsMore(HeldSettings):
    async def fetch(self, runtime: Any, previous: Any, more: Any) -> Any:
        raise NotImplementedError


class AsyncCheck(Issuing):
    async def check(self, parameters: Mapping[str, str]) -> None:  # type: ignore[override]
        raise NotImplementedError


class Neither(OnDemandSettings):
    pass


class Both(Held, Issuing):  # type: ignore[misc]
    pass


class Named(Held):
    kind: Literal["other"] = "other"


class Unchecked(Held):
    base_url: str = "https://api.example"


class InClear(Held, NetworkSettings):
    base_url: str = "http://evil.example"


FETCH = "write async def fetch(self, runtime, previous)"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Blocking, [FETCH]),
        (Short, [FETCH]),
        (NeedsMore, [FETCH]),
        (AsyncCheck, ["write def check(self, parameters)"]),
        (Neither, ["no method check", "no method issue: write async def issue(self, runtime, parameters)"]),
        (Both, ["either HeldSettings or OnDemandSettings"]),
        (dict, ["either HeldSettings or OnDemandSettings"]),
        (len, ["either HeldSettings or OnDemandSettings"]),
        (Named, ['kind is "other": it must be "weather"']),
        (Unchecked, ["does not inherit NetworkSettings"]),
        (InClear, ["the default of base_url: http:// would send secrets in clear"]),
    ],
)
def test_each_fault_says_what_to_write(found: Callable[..., object], said: list[str]) -> None:
    """All at once."""
    faults = provider_faults("weather", found)
    assert len(faults) == len(said)
    for fault, part in zip(faults, said, strict=True):
        assert part in fault


def test_a_sink_is_a_class_with_settings() -> None:
    """The same for sinks."""
    assert "inherits SinkSettings" in sink_faults("raw", Held)[0]
    assert 'must be "other"' in sink_faults("other", SINKS.get("raw"))[0]
