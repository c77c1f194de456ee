"""Secret, Token and Lease: values that do not talk."""

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token

PLANTED = "planted-fake-secret-1"
NOW = Instant(datetime(2026, 1, 1, tzinfo=UTC), 5.0)


def lease(value: str = PLANTED, **changes: Any) -> Lease:
    token = Token(Secret(value), "Bearer", NOW, NOW.after(60), {"Authorization": Secret(f"Bearer {value}")}, **changes)
    return Lease("a", token, 7, NOW.after(48), "0123456789ab")


@pytest.mark.parametrize("show", [repr, str, ascii, format, lambda value: f"{value!r:>40}", lambda value: f"{value}"])
def test_no_way_of_printing_shows_a_secret(show: Callable[[object], str]) -> None:
    """P4: repr, str, format of the secret and of everything that holds one."""
    for value in (Secret(PLANTED), [Secret(PLANTED)], lease(), lease().token, lease(renewal=Secret(PLANTED))):
        assert PLANTED not in show(value)


def test_a_secret_is_refused_by_whatever_would_carry_it_away() -> None:
    """Pickle, copies that pickle, JSON of both kinds."""
    secret = Secret(PLANTED)
    for carry in (pickle.dumps, copy.deepcopy, json.dumps, orjson.dumps):
        with pytest.raises(TypeError) as refused:
            carry(secret)
        assert PLANTED not in "".join(traceback.format_exception(refused.value))


def test_a_logger_that_interpolates_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Also not through the standard library's logging."""
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").debug("%s %r", Secret(PLANTED), lease())
    assert PLANTED not in caplog.text


def test_text_that_is_not_utf8_is_reported_without_itself() -> None:
    """reveal raises ValueError that quotes nothing."""
    with pytest.raises(ValueError, match="not UTF-8") as refused:
        Secret(b"\xff" + PLANTED.encode()).reveal()
    assert refused.value.__cause__ is None
    assert PLANTED not in str(refused.value)


@given(st.binary(), st.binary())
def test_equality_is_that_of_the_content(a: bytes, b: bytes) -> None:
    """Constant-time, and equal for equal bytes only."""
    assert (Secret(a) == Secret(b)) == (a == b)
    assert bool(Secret(a)) == bool(a)
