"""The check of a kind's class reports all faults at its import, not at its first attempt."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import pytest

from tokend.kinds import PROVIDERS, SINKS
from tokend.plugin.kind_check import provider_faults, sink_faults
from tokend.plugin.remote_sink import RemoteSinkSettings
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import (
    HeldSettings,
    NetworkSettings,
    OnDemandSettings,
    SinkSettings,
)


class Held(HeldSettings):
    """The minimal held kind."""

    async def fetch(self, runtime: Any, previous: Any) -> Any:
        raise NotImplementedError


class Issuing(OnDemandSettings):
    """The minimal on-demand kind."""

    def check(self, parameters: Mapping[str, str]) -> None:
        raise NotImplementedError

    async def issue(self, runtime: Any, parameters: Mapping[str, str]) -> Any:
        raise NotImplementedError


def test_what_is_built_in_can_be_used() -> None:
    """The built-in kinds and the minimal kinds have no fault."""
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
    async def check(self, parameters: Mapping[str, str]) -> None:  # type: ignore[override]  # this is what the check finds
        raise NotImplementedError


class Neither(OnDemandSettings):
    pass


class Both(Held, Issuing):
    pass


class Named(Held):
    kind: Literal["other"] = "other"


class Numbered(Held):
    kind: int = 4  # type: ignore[assignment]  # this is what the check finds


class NamedWithoutDefault(Held):
    kind: Literal["other"]


class Unfinished(Held):
    part: "Elsewhere"  # type: ignore[name-defined]  # noqa: F821  (this is what the check finds)


class Listed(Held):
    many: list[SecretField]


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
        (Numbered, ['kind has another type: write kind: Literal["weather"] = "weather", or leave it out']),
        (NamedWithoutDefault, ['kind has another type: write kind: Literal["weather"] = "weather"']),
        (Unfinished, ["not fully defined (PydanticUndefinedAnnotation: Elsewhere is unknown); import the types"]),
        (Listed, ["field many holds a secret inside a list; declare it as many: SecretField"]),
        (Unchecked, ["does not inherit NetworkSettings"]),
        (InClear, ["the default of base_url: http:// would send secrets in clear"]),
    ],
)
def test_each_fault_says_what_to_write(found: Callable[..., object], said: list[str]) -> None:
    """All faults of a class are reported at once."""
    faults = provider_faults("weather", found)
    assert len(faults) == len(said)
    for fault, part in zip(faults, said, strict=True):
        assert part in fault


def test_a_sink_is_a_class_with_settings() -> None:
    """The same rules hold for sinks."""
    assert "inherits SinkSettings" in sink_faults("raw", Held)[0]
    assert 'must be "other"' in sink_faults("other", SINKS.get("raw"))[0]


class Pushed(SinkSettings):
    @property
    def target(self) -> str:
        raise NotImplementedError

    async def write(self, runtime: Any, lease: Any) -> bool:
        raise NotImplementedError

    async def remove(self, runtime: Any) -> bool:
        raise NotImplementedError

    async def probe(self, runtime: Any) -> None:
        raise NotImplementedError

    async def announce(self, runtime: Any) -> None:
        raise NotImplementedError


class Combined(Pushed):
    tokens: tuple[str, ...] = ()


class WithoutRuntime(Pushed):
    async def write(self, lease: Any) -> bool:  # type: ignore[override]  # this is what the check finds
        raise NotImplementedError


class BlockingProbe(Pushed):
    def probe(self, runtime: Any) -> None:  # type: ignore[override]  # this is what the check finds
        raise NotImplementedError


class Nowhere(SinkSettings):
    write, remove, probe, announce = Pushed.write, Pushed.remove, Pushed.probe, Pushed.announce


class Remote(RemoteSinkSettings):
    target: ClassVar[Any] = Pushed.target

    async def put(self, runtime: Any, content: Any, known: Any) -> Any:
        raise NotImplementedError

    async def remove(self, runtime: Any, known: Any) -> Any:
        raise NotImplementedError

    async def inspect(self, runtime: Any) -> Any:
        raise NotImplementedError


class Writing(RemoteSinkSettings):
    target: ClassVar[Any] = Pushed.target
    write: ClassVar[Any] = Pushed.write


class Unmarked(Pushed):
    put, inspect = Remote.put, Remote.inspect


class Served(SinkSettings):
    family: ClassVar[Any] = "served"
    target: ClassVar[Any] = Pushed.target


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Pushed, []),
        (Remote, []),
        (Combined, ["no method write_all: write async def write_all(self, runtime, lease, others)"]),
        (WithoutRuntime, ["write async def write(self, runtime, lease)"]),
        (BlockingProbe, ["write async def probe(self, runtime)"]),
        (Nowhere, ["it has no property target"]),
        (Writing, ["no method put: write async def put(self, runtime, content, known)", "no method remove", "inspect"]),
        (Unmarked, ["it has put and inspect, and does not inherit RemoteSinkSettings"]),
        (Served, ["no method offer: write def offer(self, lease)"]),
    ],
)
def test_each_fault_of_a_sink_says_what_to_write(found: type, said: list[str]) -> None:
    """The sink's family decides which methods it needs."""
    faults = sink_faults("weather", found)
    assert len(faults) == len(said)
    for fault, part in zip(faults, said, strict=True):
        assert part in fault
