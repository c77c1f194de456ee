"""Templates are checked with the configuration: syntax, variables, the tokens that they name."""

import pytest

from tests.sinks.leases import lease
from tokend.plugin.template_check import MEMBERS, template_faults
from tokend.values.tokens import native

KNOWN = {"a", "b-c"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no template at all",
        "{{ access_token }} {{ headers.Authorization }} {{ headers['X-Account'] }}",
        "{{ tokens.a.access_token }} {{ tokens['b-c'].expires_at_unix }}",
        "{% for name, one in tokens.items() %}{{ one.access_token }}{% endfor %}",
        "{{ tokens[name].access_token | b64 }}",
        "{% set x = 1 %}{{ x }} {{ range(3) | list }}",
        "{{ 'x' * 10**9 }}",
    ],
)
def test_a_good_template_has_no_fault(text: str) -> None:
    """Nothing is rendered: also what would take all memory is not."""
    assert template_faults(text, KNOWN) == []


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("{{", ["line 1 of the template is wrong: unexpected 'end of template'"]),
        (
            "one\n{% if %}",
            ["line 2 of the template is wrong: Expected an expression, got 'end of statement block'"],
        ),
        ("{{ access_token | nothing }}", ["line 1 of the template is wrong: No filter named 'nothing'."]),
        (
            "{{ acces_token }}",
            ["the template asks for 'acces_token', which is not there; did you mean \"access_token\"?"],
        ),
        (
            "{{ tokens.z.access_token }} {{ one }}",
            ["the template asks for 'one', which is not there", "the template reads the token 'z': add it to tokens"],
        ),
        ("{{ tokens['z'] }}", ["the template reads the token 'z': add it to tokens"]),
        (
            "{{ tokens.a.token }}",
            ["the template asks for 'token' of a, which is not there; did you mean \"token_type\"?"],
        ),
        ("{{ tokens.ghp_obviouslyfake }}", ["the template reads the token '(not shown)': add it to tokens"]),
        ("{{ " + "(" * 5000 + ")" * 5000 + " }}", ["the template is nested too deeply"]),
    ],
)
def test_a_fault_names_what_is_wrong(text: str, faults: list[str]) -> None:
    """All of them, in the words of the template; what looks like a secret is not shown."""
    assert template_faults(text, KNOWN) == faults


def test_the_variables_are_those_of_a_lease() -> None:
    """A new member of the native JSON has to be added."""
    assert {*native(lease()), "headers", "extra"} == MEMBERS
