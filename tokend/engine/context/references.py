"""References: the secrets of providers and sinks that are another provider's token, ``{ token = "NAME" }``, or that
are in a vault whose credential is one.

An attempt that needs such a token is made while the token is valid. Nothing asks again and again: a change of the
token wakes its waiters.
"""

from collections.abc import Callable, Iterable, Mapping

from tokend.config import ProviderConfig
from tokend.engine.records.store import TokenStore
from tokend.plugin.settings import ProviderSettings, SinkSettings


def referenced(settings: ProviderSettings | SinkSettings) -> tuple[str, ...]:
    """Return the names of the providers whose tokens the settings need as secrets."""
    optional = settings.optional_secrets() if isinstance(settings, ProviderSettings) else frozenset()
    sources = settings.secrets().items()
    needed = ((key, one.needed_token) for key, one in sources)
    return tuple(dict.fromkeys(name for key, name in needed if name is not None and key not in optional))


def lacking(names: Iterable[str], store: TokenStore) -> str | None:
    """Return the operator's sentence about those of ``names`` that have no valid token now; None if all have one."""
    missing = [name for name in names if store.valid_lease(name) is None]
    if not missing:
        return None
    return f"waits for {' and '.join(missing)}, which {'have' if len(missing) > 1 else 'has'} no valid token now"


class References:
    """The readers of each referenced token, and the last state of it that was reported.

    ``changed`` is called with the names of the readers and of the token: after a change of its generation, and when it
    becomes valid or ends.
    """

    def __init__(self, store: TokenStore, changed: Callable[[Iterable[str], str], None]) -> None:
        self._store = store
        self._changed = changed
        # By reader: its configuration, and the tokens that it and its sinks use. A reload leaves most as they are.
        self._used: dict[str, tuple[ProviderConfig, frozenset[str]]] = {}
        self._readers: dict[str, list[str]] = {}
        self._reported: dict[str, int | None] = {}
        store.subscribe(self._touched)

    def follow(self, providers: Mapping[str, ProviderConfig]) -> None:
        """Know the references of these providers and of their sinks, and no others."""
        before, self._used, self._readers = self._used, {}, {}
        for reader, config in providers.items():
            known = before.get(reader)
            self._used[reader] = known = known if known is not None and known[0] is config else (config, _used(config))
            for name in known[1]:
                self._readers.setdefault(name, []).append(reader)
        self._reported = {name: self._state(name) for name in self._readers}

    def _touched(self, name: str) -> None:
        if (readers := self._readers.get(name)) is None or (state := self._state(name)) == self._reported[name]:
            return
        self._reported[name] = state
        self._changed(tuple(readers), name)

    def _state(self, name: str) -> int | None:
        """Return the generation of a valid token, else None."""
        lease = self._store.valid_lease(name)
        return None if lease is None else lease.generation


def _used(config: ProviderConfig) -> frozenset[str]:
    """Return the names of all tokens that a provider and its sinks use, also of those that they can do without."""
    tables: tuple[ProviderSettings | SinkSettings, ...] = (config.settings, *config.sinks)
    sources = (source for settings in tables for source in settings.secrets().values())
    return frozenset(name for source in sources if (name := source.needed_token) is not None)
