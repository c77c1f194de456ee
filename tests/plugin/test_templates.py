"""Templates over tokens: what they see, and what their errors say. More: test_template.py."""

import pytest

from tests.sinks.leases import PLANTED, lease
from tokend.plugin.templates import render
from tokend.values.errors import SinkError


def test_a_template_sees_the_members_the_headers_and_other_tokens() -> None:
    """By the names of the native JSON."""
    text = "{{ name }} {{ headers.Authorization }} {{ tokens.b.generation }}"
    assert render("/x", text, lease(), {"b": lease(name="b")}) == f"tt Bearer {PLANTED} 7".encode()


@pytest.mark.parametrize("text", ["{{", "{{ nothing }}", "{{ 1 / 0 }}"])
def test_an_error_names_the_target_and_quotes_no_value(text: str) -> None:
    """A filter's message may have the token in it."""
    with pytest.raises(SinkError) as refused:
        render("/x", text, lease(), {})
    assert refused.value.detail.startswith("/x: the template")
    assert PLANTED not in refused.value.detail
