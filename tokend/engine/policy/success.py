"""The record after a token has arrived. Pure. `failure` has the record after a failed attempt."""

from dataclasses import dataclass, replace

from tokend.engine.policy.backoff import MINIMUM_INTERVAL_SECONDS
from tokend.engine.policy.refresh_timing import lead_seconds, refresh_moment
from tokend.engine.policy.settings_change import is_foreign
from tokend.engine.records.fingerprints import Identity
from tokend.engine.records.record import Record
from tokend.engine.records.token_states import Held
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import TransientError
from tokend.values.instant import Instant
from tokend.values.tokens import Lease, Token


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that came at ``now`` for the provider ``name``; ``jitter`` is drawn from [0, 1)."""

    name: str
    token: Token
    fingerprint: str
    now: Instant
    jitter: float


def after_success(record: Record, new: NewToken, settings: HeldSettings, identity: Identity) -> Record:
    """Compute the record after a success. Raises `TransientError` for a token that had expired already."""
    held = record.token
    is_same = isinstance(held, Held) and _is_same(record, held, new, identity)
    # A token that an earlier boot dated gets new dates: until then its end is not known for certain.
    # So does one that is published again although a newer one was: generations never fall.
    renewed = isinstance(held, Held) and (held.adrift or record.is_outdated)
    if isinstance(held, Held) and is_same and new.token.is_extended and not record.is_outdated:
        # The token is the same, so that its generation stays. Sinks that write its end are written again.
        after = replace(record, token=_held(new, held.lease.generation, settings))
    elif isinstance(held, Held) and is_same and not renewed:
        after = replace(record, token=_with_same_token(held, new.now, settings))
    else:
        after = with_new_token(record, new, settings)
    # A pause that another host asked for stays: this name was another kind's then.
    pause = record.host_pause
    return replace(
        after,
        account=identity.account,
        request=identity.request,
        proven=identity.secrets,
        attempts=record.attempts.succeeded(record.ended(new.now)),
        host_pause=None if pause is None or pause.host == settings.upstream else pause,
    )


def with_new_token(record: Record, new: NewToken, settings: HeldSettings) -> Record:
    """Hold the new token, with the next generation."""
    # Unix seconds keep generations unique even where the state was lost.
    generation = max(record.generation + 1, int(new.now.wall.timestamp()))
    return replace(record, generation=generation, token=_held(new, generation, settings))


def _held(new: NewToken, generation: int, settings: HeldSettings) -> Held:
    """Hold the token with this generation. Its dates are the new ones, and so is the moment of its refresh."""
    token = replace(new.token, is_extended=False) if new.token.is_extended else new.token
    lead = lead_seconds(token, lead=settings.refresh_before, minimum_lead_seconds=settings.minimum_lead_seconds)
    max_age = settings.max_age_seconds
    moment = refresh_moment(token, lead_seconds=lead, max_age_seconds=max_age, jitter=new.jitter)
    lease = Lease(new.name, token, generation, moment, new.fingerprint)
    return Held(lease, lead, new.jitter, max_age_seconds=max_age)


def _is_same(record: Record, held: Held, new: NewToken, identity: Identity) -> bool:
    return held.lease.token.value == new.token.value and not is_foreign(record, identity.account)


def _with_same_token(held: Held, now: Instant, settings: HeldSettings) -> Held:
    """Keep the lease: there is nothing to publish, and its end stays. Ask again at half of what remains, or at the
    greatest age from now."""
    expires, waits = held.lease.token.expires_at, []
    if expires is not None:
        if (left := now.until(expires)) <= 0:
            raise TransientError("the upstream returned the token that had expired already")
        waits.append(left / 2)
    if settings.max_age_seconds is not None:
        waits.append(settings.max_age_seconds)
    if not waits:
        return held
    # Minting twice within one second gives the same token: no reason to let a short-lived one expire.
    least = 0.0 if settings.signs_here else MINIMUM_INTERVAL_SECONDS
    return replace(held, lease=replace(held.lease, refresh_at=now.after(max(min(waits), least))))
