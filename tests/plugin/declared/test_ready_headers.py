"""Headers that are sent with a token: what a table makes of them, and what is wrong with one."""

from typing import Any

import pytest

from tokend.plugin.declared.placeholders import Value
from tokend.plugin.declared.ready_headers import filled_headers, header_faults, header_texts
from tokend.values.errors import TransientError
from tokend.values.secret import Secret

NAMES: dict[str, Value] = {"token": Secret("fake-token"), "key": "k", "n": 5}


def made(**configured: str) -> dict[str, str]:
    filled = filled_headers(header_texts({name.replace("_", "-"): text for name, text in configured.items()}), NAMES)
    return {name: value.reveal() for name, value in filled.items()}


def test_a_token_is_sent_as_bearer_unless_the_table_says_otherwise() -> None:
    """Names are compared without case; an empty text removes a header."""
    assert made() == {"Authorization": "Bearer fake-token"}
    assert made(X_Key="{key}") == {"Authorization": "Bearer fake-token", "X-Key": "k"}
    assert made(AUTHORIZATION="token {key}:{token}") == {"AUTHORIZATION": "token k:fake-token"}
    assert made(authorization="", X_N="{{{n}}}") == {"X-N": "{5}"}


@pytest.mark.parametrize("value", ["a\r\nX: y", "ä", " a", ""])
def test_a_value_that_no_header_carries_is_an_error_without_it(value: str) -> None:
    """The header and the placeholder are named."""
    with pytest.raises(TransientError, match=r"the header X-User cannot carry what stands for \{user\}"):
        filled_headers(header_texts({"X-User": "{user}"}), {**NAMES, "user": value})


def test_faults_have_the_key() -> None:
    """Unknown names and braces without a counterpart."""
    configured: dict[str, Any] = {"A": "{tokn}", "B": "}", "C": "{token}", "D": ""}
    found = dict(header_faults(configured, {}, ["token"]))
    assert list(found) == [("headers", "A"), ("headers", "B")]
    assert found["headers", "A"].endswith('did you mean "token"?')
