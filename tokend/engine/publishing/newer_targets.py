"""Look at targets that show a newer token than the saved state has, before a provider starts.

The state can be old: a full disk keeps a token from being saved, not from being published.
"""

from collections.abc import Iterable
from typing import cast

from tokend.config import ProviderConfig
from tokend.engine.context.context import Context
from tokend.engine.records.record import Record
from tokend.machine.logs import get_logger
from tokend.plugin.protocol_check import implements
from tokend.plugin.sink import GenerationSink
from tokend.values.secret import Secret

# A start does not wait longer for a disk that hangs. Each write looks again.
LOOK_SECONDS = 2.0

log = get_logger()


async def note(context: Context, providers: Iterable[ProviderConfig]) -> None:
    """Note in the records of these providers the newer generations that their targets show."""
    store = context.store
    asked = [
        (one.name, store.get(one.name).generation, cast(GenerationSink, sink))
        for one in providers
        for sink in one.sinks
        if implements(sink, GenerationSink)
    ]
    if not asked:
        return
    found: dict[str, int] = {}

    def fingerprint(value: Secret) -> str:
        return store.state.fingerprint(value.reveal_bytes())

    def look() -> None:
        for name, above, sink in asked:
            newer = sink.newer_generation(name, max(above, found.get(name, 0)), fingerprint)
            if newer is not None:
                found[name] = newer

    try:
        await context.looks.run(look, seconds=LOOK_SECONDS)
    except TimeoutError as error:
        log.warning("watch.stuck", detail=f"files of tokens: {str(error) or 'the disk hangs'}")
    for name, generation in list(found.items()):
        log.warning("token.outdated", token=name, generation=generation)
        await store.update(name, lambda record, newer=generation: Record.outdated_by(record, newer))  # type: ignore[misc]
