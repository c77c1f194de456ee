"""Templates over tokens: what they see, and what their errors say. More: test_template.py."""

from base64 import b64encode

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


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("{{ 'user:pass' | b64 }}", b"dXNlcjpwYXNz"),
        ("{{ ('é' ~ name) | b64 }}", b64encode("étt".encode())),
        ("{{ name.encode() | b64 }}", b64encode(b"tt")),
        ("{{ generation | b64 }}", b64encode(b"7")),
        ("{{ ('?' * 90) | b64 }}", b64encode(b"?" * 90)),
    ],
)
def test_b64_encodes_text_bytes_and_numbers_as_one_line(text: str, made: bytes) -> None:
    """Docker's ``auth`` and HTTP's Basic: the standard alphabet, padded, without line breaks."""
    assert render("/x", text, lease(), {}) == made


@pytest.mark.parametrize(
    ("text", "told"), [("{{ nothing | b64 }}", "asks for 'nothing'"), ("{{ headers | b64 }}", "TypeError")]
)
def test_b64_refuses_what_is_no_text(text: str, told: str) -> None:
    """The Base64 of a Python expression would look like a credential."""
    with pytest.raises(SinkError, match=told):
        render("/x", text, lease(), {})
