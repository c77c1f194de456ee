"""Probe of a store without a running sink: one harmless request with its credential, which writes nothing."""

from dataclasses import dataclass
from typing import Literal, cast

from tokend.engine.context.context import Context
from tokend.engine.context.references import lacking, referenced
from tokend.engine.publishing.remote_delivery import RemoteDelivery
from tokend.engine.publishing.sink_runtime import WriteRuntime
from tokend.engine.publishing.target_lock import TargetLock
from tokend.engine.publishing.target_tokens import TargetTokens
from tokend.plugin.kind_bugs import bug_in
from tokend.plugin.settings import SinkSettings
from tokend.plugin.shown_text import shown
from tokend.plugin.sink import RemoteSink
from tokend.values.errors import SinkConflictError, SinkError, SinkRejectedError

Outcome = Literal["ok", "refused", "failed", "not_tried"]

_FOUND = {
    "none": "it holds what it must hold",
    "changed": "it holds another value",
    "missing": "it does not hold the token yet",
}


@dataclass(frozen=True, slots=True)
class StoreProbe:
    """The result for one store, and the operator's sentence. ``refused``: a person must act."""

    outcome: Outcome
    detail: str


async def probe_store(name: str, sink: SinkSettings, context: Context) -> StoreProbe:
    """Ask the store of a remote sink of the token ``name`` what it holds. Makes at most one attempt."""
    if (waits := lacking(referenced(sink), context.store)) is not None:
        return StoreProbe("not_tried", f"{waits}: --try it")
    target, tokens = TargetLock(), TargetTokens(name, sink.other_tokens(), removes=lambda _: False, context=context)
    runtime = WriteRuntime(sink, target, context, name)
    delivery = RemoteDelivery(cast(RemoteSink, sink), save=_nothing)
    leases = tokens.valid_leases(context.clock.instant())
    try:
        found, _ = await delivery.look(runtime, *(leases or (None, {})))
    except SinkError as error:
        refused = isinstance(error, SinkRejectedError | SinkConflictError)
        return StoreProbe("refused" if refused else "failed", _without_target(error.detail, sink))
    except Exception:  # of a kind from another package; the text may quote a secret
        return StoreProbe("failed", bug_in(sink))
    return _answered(found.partition(":")[0], asked=runtime.answered, has_token=leases is not None)


def _answered(word: str, *, asked: bool, has_token: bool) -> StoreProbe:
    """Return the result for what a look has found (the word of `SinkStatus.drift`)."""
    if word == "unknown" and not asked:
        return StoreProbe("not_tried", "this store cannot be asked without a write")
    if not has_token:
        return StoreProbe("ok", "the store answers")
    return StoreProbe("ok", f"the store answers: {_FOUND.get(word, 'it cannot be read back')}")


def _without_target(detail: str, sink: SinkSettings) -> str:
    return shown(" ".join(detail.removeprefix(f"{sink.target}: ").split()))


async def _nothing() -> None:
    """Save no mark: another process may hold the state."""
