"""An exception of a kind's class is a configuration error at its table, at `check` and at a reload."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.config.written import ENVIRON, PARTNER, loaded, only, written
from tests.publishing_sinks import StoreSink
from tokend.config import Config, InvalidConfigError, load
from tokend.kinds import PROVIDERS, SINKS
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import HeldSettings
from tokend.plugin.sink import Content, SinkRuntime
from tokend.providers.jwt import Jwt
from tokend.values.secret import Secret
from tokend.values.tokens import Lease

PLANTED = "planted-fake-sesame-secret"
SINK = '[[providers.partner.sinks]]\nkind = "store"\nkey = "app"\nauth = { env = "KEY" }\n'


class Acme(HeldSettings):
    secret: SecretField

    async def fetch(self, runtime: Any, previous: Any) -> Any:
        raise NotImplementedError


class RaisesAfter(Acme):
    def model_post_init(self, _context: Any, /) -> None:
        raise RuntimeError(PLANTED)


class Exits(Acme):
    def model_post_init(self, _context: Any, /) -> None:
        raise SystemExit(PLANTED)


class RaisesInSecrets(Acme):
    def missing_secrets(self, unreadable: frozenset[str]) -> frozenset[str]:
        raise KeyError(PLANTED)


class RaisesInWarnings(Acme):
    def warnings(self, secrets: Mapping[str, Secret]) -> tuple[str, ...]:
        raise LookupError(PLANTED)


class RaisesInUpstream(Acme):
    @property
    def upstream(self) -> str | None:
        raise RuntimeError(PLANTED)


class RaisesInTarget(StoreSink):
    @property
    def target(self) -> str:
        raise RuntimeError(PLANTED)


class NumberAsTarget(StoreSink):
    @property
    def target(self) -> str:
        return 4  # type: ignore[return-value]  # this is what the check finds


class RaisesInTargets(StoreSink):
    def exclusive_targets(self) -> frozenset[str]:
        raise RuntimeError(PLANTED)

    async def content(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> Content:
        raise NotImplementedError


def refused(path: Path, kinds: Mapping[str, type], before: Config | None) -> InvalidConfigError:
    providers = PROVIDERS.including({name: model for name, model in kinds.items() if name == "acme"})
    sinks = SINKS.including({name: model for name, model in kinds.items() if name == "store"})
    with pytest.raises(InvalidConfigError) as raised:
        load(path, providers=providers, sinks=sinks, environ=ENVIRON, before=before)
    assert PLANTED not in str(raised.value)
    return raised.value


@pytest.mark.parametrize("reloading", [False, True])
@pytest.mark.parametrize(
    ("model", "name"),
    [
        (RaisesAfter, "RuntimeError"),
        (Exits, "SystemExit"),
        (RaisesInSecrets, "KeyError"),
        (RaisesInWarnings, "LookupError"),
        (RaisesInUpstream, "RuntimeError"),
    ],
)
def test_a_provider_s_class_that_raises(tmp_path: Path, model: type[Acme], name: str, *, reloading: bool) -> None:
    """The class of the exception is shown, never its text."""
    before = loaded(written(tmp_path, PARTNER)) if reloading else None
    path = written(tmp_path, PARTNER + '[providers.shop]\nkind = "acme"\nsecret = { env = "KEY" }\n')
    problem = only(list(refused(path, {"acme": model}, before).errors))
    assert problem.line == 4
    assert problem.message == f'kind "acme" ({__name__}) cannot use these settings: {name}; repair its package'


@pytest.mark.parametrize("reloading", [False, True])
@pytest.mark.parametrize(
    ("model", "name"),
    [(RaisesInTarget, "RuntimeError"), (RaisesInTargets, "RuntimeError"), (NumberAsTarget, "TypeError")],
)
def test_a_sink_s_class_that_raises(tmp_path: Path, model: type[StoreSink], name: str, *, reloading: bool) -> None:
    """The error is at the sink's table; the provider's own table has none."""
    before = loaded(written(tmp_path, PARTNER)) if reloading else None
    problem = only(list(refused(written(tmp_path, PARTNER + SINK), {"store": model}, before).errors))
    assert problem.line == 4
    assert problem.message == f'kind "store" ({__name__}) cannot use these settings: {name}; repair its package'


def test_a_bug_of_a_built_in_kind_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its traceback is for tokend's developers."""

    def fail(*_: object) -> None:
        raise RuntimeError(PLANTED)

    monkeypatch.setattr(Jwt, "missing_secrets", fail)
    with pytest.raises(RuntimeError):
        loaded(written(tmp_path, PARTNER))
