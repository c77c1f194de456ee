"""Prepared answers: response bodies by token, and encoded answers by the exact text of the request.

An answer holds as long as its entry has the same lease object and the same settings object, and the lease has not
expired. Nothing here is invalidated by events: every use compares the objects, so that no missed event can serve a
forgotten token.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import orjson

from tokend.access.peer import Peer
from tokend.access.policy import AccessPolicy, is_public
from tokend.access.socket_scope import SocketScope
from tokend.api.serializers import held
from tokend.engine.context.contract import Engine, Entry
from tokend.httpd.application import PreparedAnswer
from tokend.httpd.response import KEEP_ALIVE_SECONDS, PLAIN_TYPE, Response
from tokend.machine.clock import Clock, SystemClock
from tokend.plugin.settings import ProviderSettings
from tokend.values.tokens import Lease

# Distinct request texts, and tokens with prepared bodies. A client uses one or two texts. A peer that needs more reads
# thousands of tokens in turn, or varies its headers; then everything is dropped and learned again.
MOST_REMEMBERED = 512
# One answer is checked in 2 µs. The more there are, the less often: half a percent of a core.
SECONDS_PER_ANSWER = 0.0005
# Header of a token's answer: the query parameter in which each call to the upstream needs a new request id.
REQUEST_ID_PARAMETER = "Request-Id-Parameter"
# `ScopedAnswers` have nothing to sweep.
SCOPED_SWEEP_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Basis:
    """The lease and the settings that an answer is made from, and the end of its validity.

    ``expires_boot`` is on the boot line; infinite for a token without an end.
    """

    lease: Lease
    settings: ProviderSettings
    expires_boot: float

    def fits(self, entry: Entry | None) -> bool:
        """Return whether these are still the entry's lease and settings."""
        return entry is not None and entry.lease is self.lease and entry.settings is self.settings


@dataclass(frozen=True, slots=True)
class PreparedBody:
    """The JSON answer of one lease. Hundreds are kept; the plain answer is made from it in a moment, so it is not."""

    basis: Basis
    json: Response = field(repr=False)

    @property
    def lease(self) -> Lease:
        """The lease that the answer holds in clear."""
        return self.basis.lease

    @property
    def plain(self) -> Response:
        """The token alone, as text."""
        body = self.lease.token.value.reveal().encode()
        return Response(200, body, PLAIN_TYPE, self.json.headers, basis=self.basis)


@dataclass(slots=True, eq=False)
class TokenAnswer(PreparedAnswer):
    """The encoded answer to one request text; the fields of its `Basis` in place, for speed."""

    name: str = field(kw_only=True)
    lease: Lease = field(kw_only=True)
    settings: ProviderSettings = field(kw_only=True)
    expires_boot: float = field(kw_only=True)


def etag(lease: Lease) -> str:
    """Return the entity tag of a lease: its generation, in quotes."""
    return f'"{lease.generation}"'


def prepare(lease: Lease, settings: ProviderSettings) -> PreparedBody:
    """Serialize a lease for readers."""
    expires = lease.token.expires_at
    basis = Basis(lease, settings, math.inf if expires is None else expires.boot)
    body = orjson.dumps(held(lease, settings))
    headers: tuple[tuple[str, str], ...] = (("ETag", etag(lease)),)
    if (parameter := settings.request_id_parameter) is not None:
        headers = (*headers, (REQUEST_ID_PARAMETER, parameter))
    return PreparedBody(basis, Response(200, body, headers=headers, basis=basis))


class AnswerCache:
    """The prepared answers of one engine; implements `tokend.httpd.application.PreparedAnswers`."""

    def __init__(self, engine: Engine, policy: AccessPolicy) -> None:
        self._engine = engine
        self._policy = policy
        self._boot_seconds = _boot_seconds(engine.clock)
        self._texts: dict[bytes, TokenAnswer] = {}
        # The hot path: a closure, because each attribute of ``self`` that it reads would slow every read.
        self.find = _finder(self._texts, engine, self._boot_seconds)
        self._bodies: dict[str, PreparedBody] = {}
        self._past_hits: Counter[str] = Counter()
        self._remembers_texts = True

    # ---------------------------------------------------------------- for the server

    def admits(self, peer: Peer, answer: PreparedAnswer, /) -> bool:
        """Return whether the peer may read the token that the answer holds."""
        return isinstance(answer, TokenAnswer) and self._policy.may_read(peer, answer.settings, answer.name)

    def remember(self, text: bytes, response: Response, /) -> TokenAnswer | None:
        """Answer this request text from the cache from now on; None while texts are not remembered."""
        if not self._remembers_texts or not isinstance(basis := response.basis, Basis):
            return None
        if text in self._texts:
            self._drop(text)
        elif len(self._texts) >= MOST_REMEMBERED:
            self.forget_texts()
        self._texts[text] = answer = TokenAnswer(
            response.encode(close=False, keep_alive_seconds=KEEP_ALIVE_SECONDS),
            is_public(basis.settings),
            name=basis.lease.name,
            lease=basis.lease,
            settings=basis.settings,
            expires_boot=basis.expires_boot,
        )
        return answer

    def sweep(self) -> float:
        """Drop every answer whose token is gone or replaced, because it holds the token in clear."""
        entries = self._engine.entries
        for name in [name for name, body in self._bodies.items() if not body.basis.fits(entries.get(name))]:
            del self._bodies[name]
        for text in [text for text, answer in self._texts.items() if not _is_current(answer, entries)]:
            self._drop(text)
        return len(self._bodies) * SECONDS_PER_ANSWER

    # ---------------------------------------------------------------- for the routes

    def prepared(self, entry: Entry) -> PreparedBody | None:
        """Return the prepared body of an entry's valid token; None if it has no valid token now."""
        known = self._bodies.get(entry.name)
        if known is None or not known.basis.fits(entry):
            lease = entry.lease
            if lease is None:
                return None
            if len(self._bodies) >= MOST_REMEMBERED:
                self._bodies.clear()  # one is made in microseconds; those of 10,000 tokens would take ten megabytes
            known = self._bodies[entry.name] = prepare(lease, entry.settings)
        return known if self._boot_seconds() < known.basis.expires_boot else None

    @property
    def bodies(self) -> int:
        """The number of tokens with a prepared body."""
        return len(self._bodies)

    @property
    def texts(self) -> frozenset[bytes]:
        """The request texts that are answered without parsing."""
        return frozenset(self._texts)

    def remember_texts(self, wanted: bool) -> None:
        """Answer known request texts without parsing, or (False) pass every request to the routes from now on."""
        self._remembers_texts = wanted
        if not wanted:
            self.forget_texts()

    def forget_texts(self) -> None:
        """Pass the next request of every text to the routes."""
        for text in list(self._texts):
            self._drop(text)

    def hits(self) -> Mapping[str, int]:
        """Count the answers that the server has sent from here, by token."""
        total = Counter(self._past_hits)
        for answer in self._texts.values():
            total[answer.name] += answer.hits
        return total

    def _drop(self, text: bytes) -> None:
        answer = self._texts.pop(text)
        self._past_hits[answer.name] += answer.hits


class ScopedAnswers:
    """The prepared answers about the tokens of one of ``[[sockets]]``; implements `PreparedAnswers`.

    The texts are those of the `AnswerCache`, which sweeps them: the same request has the same answer on every socket
    that serves its token.
    """

    def __init__(self, answers: AnswerCache, scope: SocketScope) -> None:
        self._find, self._scope = answers.find, scope
        self.admits, self.remember = answers.admits, answers.remember

    def find(self, text: bytes, /) -> TokenAnswer | None:
        """Return the answer to a request text if it is right, and about a token of this socket."""
        answer = self._find(text)
        return answer if answer is not None and self._scope.has(answer.name) else None

    def sweep(self) -> float:
        """Leave sweeping to the `AnswerCache`."""
        return SCOPED_SWEEP_SECONDS


def _is_current(answer: TokenAnswer, entries: Mapping[str, Entry]) -> bool:
    entry = entries.get(answer.name)
    return entry is not None and entry.lease is answer.lease and entry.settings is answer.settings


def _boot_seconds(clock: Clock) -> Callable[[], float]:
    """Return the quickest way to read the clock's boot line: a read needs neither wall time nor an object."""
    if type(clock) is SystemClock:
        return partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    return lambda: clock.instant().boot


def _finder(
    texts: Mapping[bytes, TokenAnswer], engine: Engine, boot_seconds: Callable[[], float]
) -> Callable[[bytes], TokenAnswer | None]:
    """Make `PreparedAnswers.find`: it returns the answer to a request text if the answer is still right."""

    def find(text: bytes, /) -> TokenAnswer | None:
        answer = texts.get(text)
        if answer is not None:
            entry = engine.entries.get(answer.name)
            if (
                entry is not None
                and entry.lease is answer.lease
                and entry.settings is answer.settings
                and boot_seconds() < answer.expires_boot
            ):
                return answer
        return None

    return find
