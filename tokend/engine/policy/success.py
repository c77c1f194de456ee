"""What a token that has arrived makes of a record; of a failure `judgement` says it. Pure."""

from dataclasses import dataclass, replace

from tokend.engine.policy.backoff import FLOOR_SECONDS
from tokend.engine.policy.refresh_timing import lead_seconds, refresh_moment
from tokend.engine.policy.settings_change import is_foreign
from tokend.engine.records.fingerprints import Identity
from tokend.engine.records.record import Record
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import TransientError
from tokend.values.instant import Instant
from tokend.values.tokens import Lease, Token


@dataclass(frozen=True, slots=True)
class ReceivedToken:
    """A token that came ``now`` for the provider ``name``; ``jitter`` is drawn from [0, 1)."""

    name: str
    token: Token
    fingerprint: str
    now: Instant
    jitter: float


def renewed(record: Record, arrival: ReceivedToken, settings: HeldSettings, identity: Identity) -> Record:
    """The record after a success. Raises `TransientError` for a token that had ended already."""
    lease = record.lease
    same = lease is not None and lease.token.value == arrival.token.value and not is_foreign(record, identity.account)
    # One that an earlier boot has dated is dated anew: until then its end is not known for certain.
    if lease is not None and same and not record.adrift:
        after = _with_same_token(record, lease, arrival.now, settings)
    else:
        after = with_new_token(record, arrival, settings)
    # What another host asked for (this name was another kind's) is not settled by a success here.
    elsewhere = record.paused_host not in {None, settings.upstream}
    return replace(
        ended(after, arrival.now),
        account=identity.account,
        request=identity.request,
        proven=identity.secrets,
        next_attempt=None,
        host_pause=record.host_pause if elsewhere else None,
        paused_host=record.paused_host if elsewhere else None,
        failures=0,
        failing_since=None,
        verdicts=0,
        rejected=None,
        withdrawn=False,
        last_error=None,
    )


def ended(record: Record, now: Instant) -> Record:
    """Count the next floor from now: the request left some time after the attempt began (names are resolved, TLS is
    spoken), and a vendor counts from when it arrives there."""
    return record if record.last_attempt is None else replace(record, last_attempt=now, under_way=False)


def with_new_token(record: Record, arrival: ReceivedToken, settings: HeldSettings) -> Record:
    """The record with another lease, of the next generation."""
    token = arrival.token
    lead = lead_seconds(token, lead=settings.refresh_before, minimum_lead_seconds=settings.minimum_lead_seconds)
    lease = Lease(
        name=arrival.name,
        token=token,
        # Unix seconds keep generations unique even where the state was lost.
        generation=max(record.generation + 1, int(arrival.now.wall.timestamp())),
        refresh_at=refresh_moment(token, lead_seconds=lead, jitter=arrival.jitter),
        fingerprint=arrival.fingerprint,
    )
    return replace(
        record, lease=lease, generation=lease.generation, lead_seconds=lead, jitter=arrival.jitter, adrift=False
    )


def _with_same_token(record: Record, lease: Lease, now: Instant, settings: HeldSettings) -> Record:
    """Nothing to publish, and its end stays: ask again at half of what remains."""
    expires = lease.token.expires_at
    if expires is None:
        return record
    if (left := now.until(expires)) <= 0:
        raise TransientError("the upstream returned the token that had expired already")
    # Minting twice within one second gives the same token: no reason to let a short-lived one run out.
    least = 0.0 if settings.local else FLOOR_SECONDS
    return replace(record, lease=replace(lease, refresh_at=now.after(max(left / 2, least))))
