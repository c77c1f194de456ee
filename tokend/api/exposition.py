"""The page of `GET /metrics`, made at each request from statuses and counts. prometheus_client is loaded late."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokend import __version__
from tokend.interfaces import Engine
from tokend.metrics import Counters
from tokend.status import ProviderStatus, State

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_GAUGES: Mapping[str, tuple[str, Callable[[ProviderStatus], float | None]]] = {
    "tokend_token_expiry_timestamp_seconds": (
        "When the token held now expires.",
        lambda status: None if status.expires_at is None else status.expires_at.timestamp(),
    ),
    "tokend_token_next_refresh_timestamp_seconds": (
        "When tokend means to replace the token.",
        lambda status: None if status.refresh_at is None else status.refresh_at.timestamp(),
    ),
    # On-demand kinds hold nothing that could be valid: an alert on 0 would never end.
    "tokend_token_valid": (
        "Whether there is a valid token.",
        lambda s: None if s.state is State.ON_DEMAND else float(s.valid),
    ),
    "tokend_token_consecutive_failures": ("Failed attempts since the last success.", lambda s: float(s.failures)),
}


@dataclass(frozen=True, slots=True)
class Exposition:
    """What the page is made of; ``config_ok`` tells whether the last reload succeeded, ``requests`` is the socket's."""

    engine: Engine
    counters: Counters
    requests: Callable[[], Mapping[tuple[str, int], int]]
    config_ok: Callable[[], bool]

    def page(self, names: Collection[str]) -> bytes:
        """Render everything about these tokens, in Prometheus' text format."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Once(list(self._families(frozenset(names)))))
        return generate_latest(registry)

    def _families(self, names: frozenset[str]) -> "Iterator[Metric]":
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        shown = [entry for name, entry in sorted(self.engine.entries.items()) if name in names]
        statuses = [entry.status() for entry in shown]
        for name, (text, value) in _GAUGES.items():
            known = {(status.name,): number for status in statuses if (number := value(status)) is not None}
            yield _labelled(GaugeMetricFamily(name, text, labels=["token"]), known)
        issued = {(e.name,): e.lease.token.issued_at.wall.timestamp() for e in shown if e.lease is not None}
        text = "When the token held now was asked for."
        yield _labelled(GaugeMetricFamily("tokend_token_issued_timestamp_seconds", text, labels=["token"]), issued)
        sinks = {
            (status.name, sink.label): sink.last_success_at.timestamp()
            for status in statuses
            for sink in status.sinks
            if sink.last_success_at is not None
        }
        text, name = "When the sink last held the token.", "tokend_sink_last_success_timestamp_seconds"
        yield _labelled(GaugeMetricFamily(name, text, labels=["token", "sink"]), sinks)
        yield from self._counted(names)
        text = "Whether the last reload succeeded."
        yield GaugeMetricFamily("tokend_config_last_reload_successful", text, value=float(self.config_ok()))
        yield InfoMetricFamily("tokend_build", "The running version.", value={"version": __version__})

    def _counted(self, names: frozenset[str]) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily, SummaryMetricFamily

        count = self.counters
        requests = {(token, str(code)): number for (token, code), number in self.requests().items()}
        tables: list[tuple[str, str, list[str], Mapping[Any, float]]] = [
            ("tokend_token_refreshes", "Attempts by result.", ["token", "result"], count.refreshes),
            ("tokend_token_refresh_errors", "Failed attempts.", ["token", "reason"], count.refresh_errors),
            ("tokend_sink_writes", "Writes by result.", ["token", "sink", "result"], count.sink_writes),
            ("tokend_client_requests", "Answers on the socket.", ["token", "code"], requests),
        ]
        for name, text, labels, table in tables:
            shown = {key: number for key, number in table.items() if key[0] in names or not key[0]}
            yield _labelled(CounterMetricFamily(name, text, labels=labels), shown)
        text = "How long attempts took."
        took = SummaryMetricFamily("tokend_token_refresh_duration_seconds", text, labels=["token"])
        for token in sorted(names & count.refresh_samples.keys()):
            took.add_metric([token], count.refresh_samples[token], count.refresh_seconds[token])
        yield took


@dataclass(frozen=True, slots=True, eq=False)
class _Once:
    """A collector of what was gathered already."""

    families: "list[Metric]"

    def collect(self) -> "list[Metric]":
        return self.families


def _labelled(family: "Metric", table: Mapping[Any, float]) -> "Metric":
    # A key of the table is the tuple of the labels' values.
    for labels, number in sorted(table.items()):
        family.add_metric(list(labels), number)  # type: ignore[attr-defined]  # each family has it, their base has not
    return family
