"""One exchange: the request is made (filled and counted), then sent, and its answer is looked into."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias, cast

from tokend.plugin.declared.answer import LARGEST_BODY_BYTES, Answer
from tokend.plugin.declared.built_in_names import BUILT_IN, COUNTERS, Moment, next_counter
from tokend.plugin.declared.counter_clock import counter_time
from tokend.plugin.declared.evaluation import evaluated
from tokend.plugin.declared.placeholders import Text, Value, as_text
from tokend.plugin.declared.request import RequestSettings
from tokend.plugin.declared.request_names import body_names, needed, needed_by
from tokend.plugin.declared.signed_request import Names
from tokend.plugin.declared.token_members import as_values
from tokend.plugin.declared.unfit_values import UnfitValueError, check_header, unfit_header, unfit_names
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.plugin.login import RememberingRuntime
from tokend.plugin.provider import Runtime
from tokend.plugin.response_status import asks_to_wait
from tokend.plugin.text import fits_header, header_text
from tokend.providers.http.attempt_time import AttemptTime
from tokend.providers.http.found import Found, look
from tokend.providers.http.names import is_of_token, reached
from tokend.providers.http.settings import ExchangeSettings
from tokend.values.errors import StoreError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import JSON, Token
from tokend.values.url import host_of

Counters: TypeAlias = Callable[[Runtime, list[str]], Awaitable[Mapping[str, int]]]

# The document of the record that keeps the counters.
COUNTERS_KEY = "counters"
# A shorter word of a header is no secret by itself: "Bearer", "token".
SHORTEST_WORD = 8


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent: to which host, with which secrets, and when its times were made; None if it holds no time.

    ``given`` and ``moment`` are what its names were filled with; the headers of readers are, too.
    """

    host: str
    secrets: tuple[Secret, ...]
    signed_at: float | None
    given: Mapping[str, Value] = field(repr=False)
    moment: Moment = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer says, and what was sent for it."""

    found: Found
    sent: Sent

    @property
    def secrets(self) -> tuple[Secret, ...] | None:
        """The secrets of both, for the mask of the vendor's words; None if those of the answer are not known."""
        return None if self.found.secrets is None else (*self.sent.secrets, *self.found.secrets)


@dataclass(frozen=True, slots=True)
class Made:
    """A request that is ready to be sent, and what it is made of."""

    request: UpstreamRequest
    sent: Sent


async def ask(
    settings: ExchangeSettings,
    runtime: Runtime,
    request: RequestSettings,
    held: Mapping[str, Value],
    known: Token | None,
    counters: Counters | None = None,
    began: AttemptTime | None = None,
) -> Answered:
    """Make a request, send it, and look into its answer. Arguments and errors as those of `make` and `send`."""
    return await send(settings, runtime, await make(settings, runtime, request, held, known, counters, began))


async def make(
    settings: ExchangeSettings,
    runtime: Runtime,
    request: RequestSettings,
    held: Mapping[str, Value],
    known: Token | None,
    counters: Counters | None = None,
    began: AttemptTime | None = None,
) -> Made:
    """Make a request. ``held`` are names and their values, beside those of the table.

    ``counters`` returns the next value of each counter; by default they are saved in the provider's record.

    ``known`` is the token held, which the server knows: it is masked in its words. ``began`` is given where the attempt
    makes another request, too: their times are the same.

    Raises `SecretError`, `ClockError` where the request needs a counter and the clock cannot be believed,
    `TransientError` where one cannot be saved, and `UnfitValueError` where a value does not fit.
    """
    used = needed(request, settings.values) | needed_by(_header_names(settings), settings.values)
    given: dict[str, Value] = dict(held)
    for name, source in settings.named_secrets.items():
        if name in used:
            given[name] = await runtime.reveal(source)
    now = (began or AttemptTime.begin(runtime)).by_upstream(runtime)
    counted = await (counters or saved_counters)(runtime, sorted(used & COUNTERS.keys()))
    moment = Moment(now, counted)
    names = Names(settings.values, given, moment, request)
    made = request.make(names)
    _require_sendable(settings, request, made, names)
    for name, text in _known_headers(settings, given).items():
        check_header(name, text, Names(settings.values, given, moment))
    is_timed = any(one.startswith(("now_", "counter_")) for one in used) or any(
        settings.values[one].totp is not None for one in used & settings.values.keys()
    )
    sent = Sent(
        host_of(request.url.origin),
        _secrets([*given.values(), *names.values(), *({} if known is None else as_values(known)).values()]),
        now.timestamp() if is_timed else None,
        given,
        moment,
    )
    return Made(made, sent)


async def send(settings: ExchangeSettings, runtime: Runtime, made: Made) -> Answered:
    """Send a request and look into its answer. Raises `TransientError` for no complete, acceptable one."""
    reply, host = await runtime.exchange(made.request), made.sent.host
    call = partial(look, Answer(reply, host), settings.answer, settings.errors)
    try:
        return Answered(await evaluated(runtime, call, host), made.sent)
    except TransientError as error:
        error.is_void = not asks_to_wait(reply.status)
        raise


async def saved_counters(runtime: Runtime, names: list[str]) -> Mapping[str, int]:
    """Return the next value of each counter, after they were saved: none is used twice, whatever follows."""
    if not names:
        return {}
    runtime = cast(RememberingRuntime, runtime)
    now = counter_time(runtime.clock.instant().wall, runtime.upstream_now())

    def counted(document: JSON) -> JSON:
        last = document if isinstance(document, dict) else {}
        return {**last, **{name: next_counter(name, _whole(last.get(name)), now) for name in names}}

    try:
        kept = await runtime.commit(COUNTERS_KEY, counted)
    except StoreError as error:
        why = f"nothing was sent, because the counter of the request cannot be saved: {error.detail}"
        raise TransientError(why, is_sent=False) from None
    return {name: _whole(kept[name]) for name in names} if isinstance(kept, dict) else {}


def _require_sendable(
    settings: ExchangeSettings, request: RequestSettings, made: UpstreamRequest, values: Mapping[str, Value]
) -> None:
    """Raise `UnfitValueError` for what cannot be sent; `SecretError` where a secret of the table is to blame."""
    if len(made.body) > LARGEST_BODY_BYTES:
        why = f"the body to send has more than {LARGEST_BODY_BYTES // 1024} KiB"
        raise UnfitValueError(f"{host_of(request.url.origin)}: {why}", body_names(request))
    for name, text in request.headers.items():
        if made.headers[name] == "" or fits_header(as_text(made.headers[name])):
            continue
        if not (odd := unfit_names(text, values)):
            for secret in sorted(reached(text.names, settings.values) & settings.named_secrets.keys()):
                header_text(cast(Secret, values[secret]), f"the secret in {{{secret}}}")
        # The table's secrets fit: what is computed of a secret and of something else is due to the other names.
        raise unfit_header(name, text, odd or text.names)


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _known_headers(settings: ExchangeSettings, given: Mapping[str, Value]) -> dict[str, Text]:
    """Return the headers for readers that need nothing of an answer: no request is made for those that do not fit."""
    known = {*(name for name in given if not is_of_token(name)), *settings.values, *BUILT_IN}
    return {
        name: text for name, text in settings.made_headers.items() if needed_by(text.names, settings.values) <= known
    }


def _header_names(settings: ExchangeSettings) -> list[str]:
    return [name for text in settings.made_headers.values() for name in text.names]


def _secrets(values: Iterable[Value]) -> tuple[Secret, ...]:
    """Return all secrets that a request is made of, also those that were computed, for the mask of a vendor's words."""
    whole = [one for one in values if isinstance(one, Secret)]
    words = [word for one in whole for word in one.reveal_bytes().split() if len(word) >= SHORTEST_WORD]
    return tuple(dict.fromkeys([*whole, *map(Secret, words)]))
