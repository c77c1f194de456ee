"""A token that cannot be sent in a header is refused, without its value."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tokend.plugin.token_check import check_token
from tokend.values.errors import TransientError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Token

NOW = Instant(wall=datetime(2026, 1, 1, tzinfo=UTC), boot=1.0)
PLANTED = "planted-fake-value"


def token(value: Any = None, **members: Any) -> Token:
    given = {"token_type": "Bearer", "issued_at": NOW, "expires_at": None, **members}
    return Token(Secret(PLANTED) if value is None else value, **given)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, "it is of the type NoneType, a Token is expected"),
        (PLANTED, "it is of the type str, a Token is expected"),
        (token(PLANTED), "its value is of the type str, a Secret is expected"),
        (token(Secret("")), "its value is empty"),
        (token(Secret(f"{PLANTED}\r\nX-Evil: 1")), "its value holds control"),
        (token(Secret(f" {PLANTED}")), "begins or ends with a space"),
        (token(Secret(f"{PLANTED}\n")), "its value holds control"),
        (token(Secret(f"{PLANTED}é")), "non-ASCII"),
        (token(token_type="a\nb"), "its token_type is no line"),
        (token(token_type=None), "its token_type is no line"),
        (token(issued_at=datetime(2026, 1, 1, tzinfo=UTC)), "is no Instant"),
        (token(expires_at=3.0), "is no Instant"),
        (token(headers={"Authorization": PLANTED}), "its headers are not"),
        (token(headers={"Authorization": Secret(f"{PLANTED}\n")}), "its headers are not"),
        (token(headers=None), "its headers are not"),
    ],
)
def test_an_unusable_token_is_a_failed_attempt(made: object, said: str) -> None:
    with pytest.raises(TransientError, match=r"^the kind made an unusable token: ") as raised:
        check_token(made)
    assert said in str(raised.value)
    assert PLANTED not in str(raised.value)


@pytest.mark.parametrize(
    "made", [token(), token(expires_at=NOW), token(Secret("a b")), token(headers={"X": Secret(f"Bearer {PLANTED}")})]
)
def test_a_usable_token_passes(made: Token) -> None:
    check_token(made)
