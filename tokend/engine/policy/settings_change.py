"""Hold a stored record against the settings and secrets of now: whose token is it, was it asked for like this, may a
rejected provider try again. Pure.
"""

from dataclasses import replace

from tokend.engine.policy.refresh_timing import lead_seconds, refresh_moment
from tokend.engine.records.fingerprints import Identity
from tokend.engine.records.record import Record
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import SecretError

# A reboot lays the boot line anew from wall times of microseconds: less than this is no other lead.
SAME_LEAD_SECONDS = 1.0


def compare(record: Record, settings: HeldSettings, *, request: str, identity: Identity | None) -> tuple[Record, bool]:
    """The record as it must be under ``settings``, and whether an attempt should follow as soon as the floor allows.

    ``request`` is the settings' fingerprint without secrets; ``identity`` is None where a secret cannot be read:
    then nothing can be said of the account, and the attempt will report why.
    """
    record = _with_lead(record, settings)
    hurry = asked_otherwise = record.request is not None and record.request != request
    if identity is None:
        return record, hurry and record.rejected is None
    if is_foreign(record, identity.account):
        hurry = True
        # Local kinds mint before they withdraw, so that no reader sees a gap.
        record = record if settings.local else withdrawn(record)
    if record.rejected is not None:
        if record.rejected == identity.secrets:
            return record, False
        record, hurry = replace(record, rejected=None, verdicts=0), True
    if asked_otherwise:
        record = replace(record, verdicts=0)
    if record.last_error is not None and record.last_error.reason == SecretError.reason:
        hurry = True  # it can be read now
    return (replace(record, next_attempt=None) if hurry else record), hurry


def is_foreign(record: Record, account: str) -> bool:
    """Tell whether the token held belongs to another account."""
    return record.lease is not None and record.account != account


def withdrawn(record: Record) -> Record:
    """The record without its token; the sinks must not hold it any longer either."""
    return replace(record, lease=None, withdrawn=True)


def is_surely_another_account(old: HeldSettings, new: HeldSettings) -> bool:
    """Tell what can be told without reading a secret: a key that says whose token it is has another plain value, or
    another one that stands in the configuration itself."""
    before, now = old.secrets(), new.secrets()
    if any(getattr(old, name) != getattr(new, name) for name in new.account_fields - (before.keys() | now.keys())):
        return True
    shared = new.account_fields & before.keys() & now.keys()
    return any(
        before[name].literal is not None and now[name].literal is not None and before[name] != now[name]
        for name in shared
    )


def _with_lead(record: Record, settings: HeldSettings) -> Record:
    """Another ``refresh_before`` counts for the token held, too: its jitter stays, its moment moves."""
    lease = record.lease
    if lease is None:
        return record
    lead = lead_seconds(lease.token, lead=settings.refresh_before, minimum_lead_seconds=settings.minimum_lead_seconds)
    if lead is None or (record.lead_seconds is not None and abs(lead - record.lead_seconds) < SAME_LEAD_SECONDS):
        return record
    moment = refresh_moment(lease.token, lead_seconds=lead, jitter=record.jitter)
    return replace(record, lead_seconds=lead, lease=replace(lease, refresh_at=moment))
