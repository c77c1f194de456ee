"""The metrics page of `GET /metrics`, rendered at each request. prometheus_client is imported at the first one."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tokend import __version__
from tokend.api.token_api import RequestCounts
from tokend.engine.context.contract import Engine
from tokend.engine.context.counters import Counters
from tokend.machine.late_imports import import_away
from tokend.machine.yielding import with_pauses
from tokend.values.status import ProviderStatus, State

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
    "tokend_token_paused_until_timestamp_seconds": (
        "When the rate limit of the token's host ends, while there is one.",
        lambda status: None if status.paused_until is None else status.paused_until.timestamp(),
    ),
    "tokend_login_expiry_timestamp_seconds": (
        "When the token's login ends: a person has to log in again before.",
        lambda s: None if s.login is None or s.login.ends_at is None else s.login.ends_at.timestamp(),
    ),
    # On-demand kinds hold nothing that could be valid: an alert on 0 would never end.
    "tokend_token_valid": (
        "Whether there is a valid token.",
        lambda s: None if s.state is State.ON_DEMAND else float(s.valid),
    ),
    "tokend_token_consecutive_failures": ("Failed attempts since the last success.", lambda s: float(s.failures)),
}

# So many are rendered at a time: a millisecond.
LINES = 200

_Family = Callable[[], Any]
# What `add_metric` of the family takes: the labels' values, and the numbers.
_Table = Mapping[Any, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """The sources of the page.

    ``config_ok`` returns whether the last reload succeeded, ``unsaved`` how many records could not be written.
    """

    engine: Engine
    counters: Counters
    config_ok: Callable[[], bool]
    unsaved: Callable[[], int]

    async def page(self, names: Collection[str], requests: RequestCounts) -> bytes:
        """Render all metrics of these tokens in Prometheus' text format, with pauses for other requests."""
        await import_away("prometheus_client.core")
        families = self._families(frozenset(names), requests)
        return b"".join([text async for family, table in families async for text in _rendered(family, table)])

    async def _families(
        self, names: frozenset[str], requests: RequestCounts
    ) -> "AsyncIterator[tuple[_Family, _Table]]":
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        shown = [entry for name, entry in sorted(self.engine.entries.items()) if name in names]
        statuses = [entry.status() async for entry in with_pauses(shown)]
        for name, (text, value) in _GAUGES.items():
            known = {(status.name,): (number,) for status in statuses if (number := value(status)) is not None}
            yield partial(GaugeMetricFamily, name, text, labels=["token"]), known
        issued = {(e.name,): (e.lease.token.issued_at.wall.timestamp(),) for e in shown if e.lease is not None}
        text = "When the token held now was asked for."
        yield partial(GaugeMetricFamily, "tokend_token_issued_timestamp_seconds", text, labels=["token"]), issued
        sinks = {
            (status.name, sink.label): (sink.last_success_at.timestamp(),)
            for status in statuses
            for sink in status.sinks
            if sink.last_success_at is not None
        }
        text, name = "When the sink last held the token.", "tokend_sink_last_success_timestamp_seconds"
        yield partial(GaugeMetricFamily, name, text, labels=["token", "sink"]), sinks
        generations = {
            (status.name, sink.label): (float(sink.generation),)
            for status in statuses
            for sink in status.sinks
            if sink.generation is not None
        }
        text, name = "The generation of the token in the target, as far as is known.", "tokend_sink_generation"
        yield partial(GaugeMetricFamily, name, text, labels=["token", "sink"]), generations
        stores = [(status.name, sink.label) for status in statuses for sink in status.sinks if sink.path is None]
        for counted in self._counted(names, requests, stores):
            yield counted
        text = "Whether the last reload succeeded."
        name, loaded = "tokend_config_last_reload_successful", float(self.config_ok())
        yield partial(GaugeMetricFamily, name, text, labels=[]), {(): (loaded,)}
        text = "Tokens whose newest state could not be written: a restart would find an older one."
        yield partial(GaugeMetricFamily, "tokend_state_unsaved", text, labels=[]), {(): (float(self.unsaved()),)}
        text = "The running version."
        yield partial(InfoMetricFamily, "tokend_build", text, labels=[]), {(): ({"version": __version__},)}

    def _counted(
        self, names: frozenset[str], counts: RequestCounts, stores: Iterable[tuple[str, str]]
    ) -> "Iterator[tuple[_Family, _Table]]":
        from prometheus_client.core import CounterMetricFamily, SummaryMetricFamily

        count = self.counters
        requests = {(token, str(code)): number for (token, code), number in counts.items()}
        tables: list[tuple[str, str, list[str], Mapping[Any, float]]] = [
            ("tokend_token_refreshes", "Attempts by result.", ["token", "result"], count.refreshes),
            ("tokend_token_refresh_errors", "Failed attempts.", ["token", "reason"], count.refresh_errors),
            ("tokend_sink_writes", "Writes by result.", ["token", "sink", "result"], count.sink_writes),
            (
                "tokend_sink_repairs",
                "Targets written again after others changed them.",
                ["token", "sink"],
                count.sink_repairs,
            ),
            (
                "tokend_sink_drifts",
                "Targets found changed by others, once for each change.",
                ["token", "sink"],
                # From 0 on: an alert sees the first change of a store.
                dict.fromkeys(stores, 0) | count.sink_drifts,
            ),
            (
                "tokend_token_reports",
                "Reports of clients that an upstream refused the token.",
                ["token", "reason"],
                count.reports,
            ),
            (
                "tokend_login_retries",
                "Refresh tokens sent again because an answer was lost.",
                ["token"],
                {(token,): number for token, number in count.login_retries.items()},
            ),
            ("tokend_client_requests", "Answers on the socket.", ["token", "code"], requests),
        ]
        for name, text, labels, table in tables:
            shown = {key: (number,) for key, number in table.items() if key[0] in names or not key[0]}
            yield partial(CounterMetricFamily, name, text, labels=labels), shown
        text, name = "How long attempts took.", "tokend_token_refresh_duration_seconds"
        samples, seconds = count.refresh_samples, count.refresh_seconds
        took = {(token,): (samples[token], seconds[token]) for token in names & samples.keys()}
        yield partial(SummaryMetricFamily, name, text, labels=["token"]), took
        text, name = "How long writes took that succeeded.", "tokend_sink_write_duration_seconds"
        wrote = {key: (count.sink_samples[key], took) for key, took in count.sink_seconds.items() if key[0] in names}
        yield partial(SummaryMetricFamily, name, text, labels=["token", "sink"]), wrote


async def _rendered(family: _Family, table: _Table) -> AsyncIterator[bytes]:
    """Yield the lines of a family, `LINES` at a time; HELP and TYPE stand once, before the first."""
    from prometheus_client import generate_latest

    rows = sorted(table.items())
    async for start in with_pauses(range(0, max(len(rows), 1), LINES), together=1):
        part = family()
        for labels, values in rows[start : start + LINES]:
            part.add_metric(list(labels), *values)
        text: bytes = generate_latest(_Once([part]))  # all that it does with a registry is to collect
        # HELP and TYPE stand before each part.
        yield text if start == 0 else text.split(b"\n", 2)[2]


@dataclass(frozen=True, slots=True, eq=False)
class _Once:
    """A collector of families that are gathered already."""

    families: "list[Metric]"

    def collect(self) -> "list[Metric]":
        return self.families
