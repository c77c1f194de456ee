"""Warnings about each provider, for its status: what looks wrong and stops nothing."""

from collections.abc import Iterable, Mapping

from tokend.values.status import StatusWarning

# Sources of warnings. A source replaces its own warnings only; another source is another name.
CONFIG = "config"
SECRETS = "secrets"


class Warnings:
    """The current warnings by provider, of several sources: the configuration, the secrets, and what else looks.

    A source says all that it has to say about a provider at once (`put`), and says nothing more with an empty list.
    The caller logs the new ones: `put` returns them.
    """

    __slots__ = ("_by_name",)

    def __init__(self) -> None:
        # Only providers with warnings have an entry: there may be ten thousand without.
        self._by_name: dict[str, dict[str, tuple[StatusWarning, ...]]] = {}

    def of(self, name: str, source: str | None = None) -> tuple[StatusWarning, ...]:
        """Return the warnings about one provider, each once: those of one source, or (None) all."""
        sources = self._by_name.get(name)
        if sources is None:
            return ()
        if source is not None:
            return sources.get(source, ())
        return tuple(dict.fromkeys(one for warnings in sources.values() for one in warnings))

    def put(self, name: str, source: str, warnings: Iterable[StatusWarning]) -> tuple[StatusWarning, ...]:
        """Replace the warnings of one source about one provider. Return those that were not there before."""
        sources = self._by_name.setdefault(name, {})
        before, now = sources.pop(source, ()), tuple(warnings)
        if now:
            sources[source] = now
        if not sources:
            del self._by_name[name]
        return tuple(one for one in now if one not in before)

    def replace(self, source: str, by_name: Mapping[str, Iterable[StatusWarning]]) -> None:
        """Replace the warnings of one source about all providers."""
        for name in [*self._by_name, *by_name]:
            self.put(name, source, by_name.get(name, ()))

    def drop(self, name: str) -> None:
        """Forget all warnings about a provider that is not running any more."""
        self._by_name.pop(name, None)
