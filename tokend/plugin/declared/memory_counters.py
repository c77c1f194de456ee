"""Counters of on-demand kinds: they rise while the daemon runs, and begin at the present time after a start."""

from collections.abc import Collection
from datetime import datetime

from tokend.machine.clock import is_plausible
from tokend.plugin.declared.built_in_names import next_counter
from tokend.values.errors import ClockError

# By name, of all providers: a value that another one has used is only skipped.
_last: dict[str, int] = {}


def next_counters(names: Collection[str], moment: datetime) -> dict[str, int]:
    """Return the next value of each counter. Raises `ClockError` while the clock is not plausible.

    The upstream would expect more than the largest value ever after.
    """
    if names and not is_plausible(moment):
        raise ClockError(f"this machine's clock says {moment:%Y-%m-%d}, and a counter is made of it: set it (NTP)")
    for name in names:
        _last[name] = next_counter(name, _last.get(name, 0), moment)
    return {name: _last[name] for name in names}
