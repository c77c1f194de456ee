"""Reconcile a stored record with the current settings and secrets: same account? same request? may `Rejected` be left?
Pure.
"""

from dataclasses import replace

from tokend.engine.policy.failure import in_another_way, resumed, with_refusals, without_failures
from tokend.engine.policy.refresh_timing import lead_seconds, refresh_moment
from tokend.engine.records.fingerprints import Identity
from tokend.engine.records.record import Record
from tokend.engine.records.token_states import Held
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import SecretError, UnsafePathError, WaitingError

# Reasons of failures that end when a file can be read again.
UNREADABLE = frozenset({SecretError.reason, UnsafePathError.reason, WaitingError.reason})
# After a reboot boot times are computed from wall times in microseconds: a smaller difference is no other lead.
SAME_LEAD_SECONDS = 1.0


def reconcile(
    record: Record, settings: HeldSettings, *, request: str, connection: str, identity: Identity | None
) -> tuple[Record, bool]:
    """Compute the record under ``settings``, and whether an attempt should follow as soon as one may be made.

    ``request`` and ``connection`` are the settings' fingerprints without secrets. ``identity`` is None where a secret
    cannot be read: then nothing is known of the account, and the attempt will report why.
    """
    record = _with_lead(record, settings)
    ask = another_request = record.request is not None and record.request != request
    another_connection = record.connection is not None and record.connection != connection
    if another_connection and (record.failures or record.rejected):
        record, ask = in_another_way(record), True
    elif another_request and not record.rejected:
        record = without_failures(record, 0)
    if identity is None:
        return record, ask and not record.rejected
    if is_foreign(record, identity.account):
        ask = True
        # Local kinds mint before they withdraw, so that no reader sees a gap.
        record = record if settings.local else record.without_token()
    if record.rejected:
        if record.attempts.rejected_secrets == identity.secrets:
            return record, False
        record, ask = resumed(record, refusals=0), True
    if another_request:
        record = with_refusals(record, 0)
    if record.last_error is not None and record.last_error.reason in UNREADABLE:
        ask = True  # the secret can be read now
    return (resumed(record, record.attempts.failures.refusals) if ask else record), ask


def is_foreign(record: Record, account: str) -> bool:
    """Return whether the token held belongs to another account."""
    return record.lease is not None and record.account != account


def is_surely_another_account(old: HeldSettings, new: HeldSettings) -> bool:
    """Return whether the account changed, as far as that is known without reading a secret.

    It did where a key that names the account has another plain value, or another literal secret.
    """
    before, now = old.secrets(), new.secrets()
    if any(getattr(old, name) != getattr(new, name) for name in new.account_fields - (before.keys() | now.keys())):
        return True
    shared = new.account_fields & before.keys() & now.keys()
    literals = [(name, before[name].literal, now[name].literal) for name in shared]
    return any(
        one is not None and other is not None and old.account_part(name, one) != new.account_part(name, other)
        for name, one, other in literals
    )


def _with_lead(record: Record, settings: HeldSettings) -> Record:
    """Apply another ``refresh_before`` or ``max_age`` to the token held, too: its jitter stays, its moment moves."""
    held = record.token
    if not isinstance(held, Held):
        return record
    token = held.lease.token
    lead = lead_seconds(token, lead=settings.refresh_before, minimum_lead_seconds=settings.minimum_lead_seconds)
    max_age = settings.max_age_seconds
    same_lead = lead is None or (held.lead_seconds is not None and abs(lead - held.lead_seconds) < SAME_LEAD_SECONDS)
    if same_lead and held.max_age_seconds == max_age:
        return record
    moment = refresh_moment(token, lead_seconds=lead, max_age_seconds=max_age, jitter=held.jitter)
    lease = replace(held.lease, refresh_at=moment)
    return replace(record, token=replace(held, lead_seconds=lead, max_age_seconds=max_age, lease=lease))
