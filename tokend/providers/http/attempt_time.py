"""The instant of an attempt: all its requests have the same times, by the upstream's clock."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from tokend.plugin.provider import Runtime
from tokend.plugin.signing_time import LEAST_SECONDS
from tokend.values.instant import Instant


@dataclass(frozen=True, slots=True)
class AttemptTime:
    """When an attempt began: by this machine's clock, and by the upstream's as it was known then."""

    here: Instant
    there: datetime

    @classmethod
    def begin(cls, runtime: Runtime) -> Self:
        """Return the present moment."""
        return cls(runtime.clock.instant(), runtime.upstream_now())

    def by_upstream(self, runtime: Runtime) -> datetime:
        """Return the instant by the upstream's clock, in aware UTC.

        It is corrected where an answer of this attempt has shown that the clocks differ: a server that refuses a time
        would refuse it again.
        """
        passed = timedelta(seconds=self.here.until(runtime.clock.instant()))
        corrected = runtime.upstream_now() - passed
        return corrected if abs((corrected - self.there).total_seconds()) > LEAST_SECONDS else self.there
