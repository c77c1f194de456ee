"""Counters of on-demand kinds: they rise while the daemon runs, and begin at the present time after a start."""

from collections.abc import Collection
from datetime import datetime

from tokend.plugin.declared.built_in_names import next_counter
from tokend.plugin.declared.counter_clock import counter_time

# By name, of all providers: a value that another one has used is only skipped.
_last: dict[str, int] = {}


def next_counters(names: Collection[str], wall: datetime, upstream: datetime) -> dict[str, int]:
    """Return the next value of each counter, by the upstream's clock, or by ours (``wall``).

    Raises `ClockError` while the clock is not plausible (`counter_time`).
    """
    if not names:
        return {}
    moment = counter_time(wall, upstream)
    for name in names:
        _last[name] = next_counter(name, _last.get(name, 0), moment)
    return {name: _last[name] for name in names}
