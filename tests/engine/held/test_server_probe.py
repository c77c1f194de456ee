"""Probe of a provider's server: each outcome, without a running provider."""

from typing import Any

import pytest

from tests.fakes import FakeHeld, World
from tests.virtual import VirtualClock, run_virtually
from tokend.values.errors import ServerSettingsError, TransientError


class Saying(FakeHeld):
    """A kind whose server says what it is."""

    async def check_server(self, runtime: Any) -> str | None:
        said = SAID[0]
        if isinstance(said, Exception):
            raise said
        return said


SAID: list[Exception | str | None] = [None]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, None),
        ("all agrees", ("ok", "all agrees")),
        (ServerSettingsError("another issuer"), ("refused", "another issuer")),
        (TransientError("no answer"), ("failed", "no answer")),
        (KeyError("planted-fake-secret"), ("failed", "a bug in")),
    ],
)
def test_each_outcome_has_its_word(said: Exception | str | None, found: tuple[str, str] | None) -> None:
    """A person must act where the settings are wrong; the text of a bug is not quoted."""
    SAID[0] = said

    async def main(clock: VirtualClock) -> None:
        async with World(clock).running() as supervisor:
            outcome = await supervisor.probe_server(Saying())
            assert (outcome is None) == (found is None)
            if outcome is not None and found is not None:
                assert outcome[0] == found[0]
                assert outcome[1].startswith(found[1])
                assert "planted" not in outcome[1]
            assert await supervisor.probe_server(FakeHeld()) is None

    run_virtually(main)
