"""Keys of kinds that read a token in one of the formats: what readers get of it, and the warnings for the operator."""

from datetime import timedelta

import pytest

from tests.providers.live import NOW, at
from tokend.plugin.format_settings import FormatSettings
from tokend.plugin.found_token import Source
from tokend.values.secret import Secret
from tokend.values.tokens import Token


class Printed(FormatSettings):
    """A kind whose program is called mint."""

    @property
    def source(self) -> Source:
        return Source("command mint", "printed")


KEYS = {"clientKeyData": Secret("planted-fake-key")}
TOKEN = Token(Secret("fake-token"), "Bearer", at(NOW), at(NOW + 60), extra=KEYS)
ENDLESS = Token(Secret("fake-token"), "Bearer", at(NOW), None)


def test_the_further_secrets_of_a_format_are_for_readers() -> None:
    """Of a token that has none there is nothing to show."""
    made = Printed(kind="printed")
    assert made.shown_extra(TOKEN) == KEYS
    assert made.shown_extra(ENDLESS) == {}


@pytest.mark.parametrize(
    ("token", "max_age", "remark"),
    [
        (ENDLESS, None, "command mint names no end; set lifetime"),
        (ENDLESS, timedelta(hours=1), None),
        (TOKEN, None, None),
    ],
)
def test_a_token_that_no_timer_replaces_is_remarked_on(
    token: Token, max_age: timedelta | None, remark: str | None
) -> None:
    """Nobody sees otherwise why the program is not run again."""
    assert Printed(kind="printed", max_age=max_age).remark_on(token) == remark
