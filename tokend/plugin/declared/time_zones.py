"""Time zones of a configuration, and times of day in them: ``"06:00 Asia/Kolkata"``."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import PlainValidator, WithJsonSchema

from tokend.values.near_miss import did_you_mean

_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}", re.ASCII)
# Other forms of the same zones, and the machine's own: what a table means must not depend on the machine.
_NOT_OF_IANA = ("posix", "right/", "localtime", "Factory")
_DAILY = re.compile(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2}))? (\S+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone by its IANA name. Its rules are read once, with the configuration: the loop waits for no disk."""

    name: str
    rules: ZoneInfo = field(compare=False, repr=False)

    @classmethod
    def parse(cls, name: str) -> "Zone":
        """Find a zone. Blocks. Raises ValueError for one that this machine does not know."""
        if _ZONE.fullmatch(name) and not name.startswith(_NOT_OF_IANA):
            try:
                return cls(name, ZoneInfo(name))
            except (ValueError, OSError, KeyError):
                pass
        near = did_you_mean(name, available_timezones()) or "; names are like Asia/Kolkata;"
        raise ValueError(f"this machine knows no time zone of this name{near} or else install the package tzdata")


@dataclass(frozen=True, slots=True)
class DailyTime:
    """A time of each day in a zone."""

    at: time
    zone: Zone

    @classmethod
    def parse(cls, written: str) -> "DailyTime":
        """Parse ``HH:MM ZONE`` or ``HH:MM:SS ZONE``. Blocks. Raises ValueError."""
        found = _DAILY.fullmatch(written)
        try:
            at = None if found is None else time(int(found[1]), int(found[2]), int(found[3] or 0))
        except ValueError:
            at = None
        if found is None or at is None:
            raise ValueError('a time of day has a zone: "06:00 Asia/Kolkata"')
        return cls(at, Zone.parse(found[4]))

    def next_after(self, moment: datetime) -> datetime:
        """Return the first such time after an aware moment.

        Where clocks are put forward over it, it is as much later; where they are put back over it, both times count.
        """
        today = moment.astimezone(self.zone.rules).date()
        times: list[datetime] = []
        for days in range(-1, 4):
            written = datetime.combine(today + timedelta(days), self.at)
            first, second = (written.replace(tzinfo=self.zone.rules, fold=fold).astimezone(UTC) for fold in (0, 1))
            times += [first, max(first, second)]
        return min(one for one in times if one > moment)


def _zone(value: object) -> Zone:
    if isinstance(value, Zone):
        return value
    if not isinstance(value, str):
        raise ValueError('a time zone is a name: "Asia/Kolkata"')  # noqa: TRY004  (pydantic wants it)
    return Zone.parse(value)


def _daily(value: object) -> DailyTime:
    if isinstance(value, DailyTime):
        return value
    if not isinstance(value, str):
        raise ValueError('a time of day has a zone: "06:00 Asia/Kolkata"')  # noqa: TRY004  (pydantic wants it)
    return DailyTime.parse(value)


ZoneField = Annotated[Zone, PlainValidator(_zone), WithJsonSchema({"type": "string", "pattern": f"^{_ZONE.pattern}$"})]
"""The type of a settings field with a time zone."""
DailyField = Annotated[DailyTime, PlainValidator(_daily), WithJsonSchema({"type": "string", "pattern": "^[0-9:]+ .+$"})]
"""The type of a settings field with a time of day."""
