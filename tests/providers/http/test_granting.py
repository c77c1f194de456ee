"""Answers that grant for a login."""

import pytest

from tests.providers.http.asking import granted
from tests.providers.http.logging_in import play, refreshed
from tests.providers.live import LiveRuntime
from tests.upstream.loopback import reset
from tokend.providers.http.granting import ask_once, granted_of
from tokend.providers.http.kind import Http
from tokend.values.errors import LostAnswerError, TransientError
from tokend.values.logins import Granted


def test_what_was_sent_once_and_not_answered_is_lost() -> None:
    """What was not sent is not."""

    async def step(made: Http, runtime: LiveRuntime) -> None:
        with pytest.raises(LostAnswerError):
            await ask_once(made, runtime, made.request, {})

    play(refreshed, step, reset)
    away = refreshed("http://127.0.0.1:1")

    async def unsent(_: Http, runtime: LiveRuntime) -> None:
        with pytest.raises(TransientError) as caught:
            await ask_once(away, LiveRuntime(away), away.request, {})
        assert (type(caught.value), caught.value.is_sent) == (TransientError, False)

    play(refreshed, unsent)


def test_a_grant_keeps_its_token_only_for_a_renewal() -> None:
    """A login without one has nothing to send."""

    async def step(made: Http, runtime: LiveRuntime) -> Granted:
        return granted_of(made, await ask_once(made, runtime, made.request, {}))

    with_renewal, _ = play(refreshed, step, granted())
    assert set(with_renewal.parameters) == {"token"}
    bare = {"answer": {"token": "token", "expires_in": "life"}, "renew": None}
    without, _ = play(lambda url: refreshed(url, **bare), step, granted())
    assert without.parameters == {}
