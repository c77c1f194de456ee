"""``template``: any text, by a template that can reach nothing but the token, and that says nothing of it."""

import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.sinks.leases import PLANTED, lease, sink
from tokend.values.errors import SinkError


def render(tmp_path: Path, template: str) -> str:
    made = sink("template", tmp_path / "file", template=template)
    made.write(lease())
    return (tmp_path / "file").read_text()


def test_a_template_has_the_native_members_and_the_headers(tmp_path: Path) -> None:
    """And what it says is written as it stands: nothing is escaped, the last newline stays."""
    template = "{{ name }} {{ access_token }} <{{ headers['x-api-key'] }}> {{ expires_at }} {{ expires_at_unix }}\n"
    assert render(tmp_path, template) == f"tt {PLANTED} <planted-fake-api-key> 2026-03-02T12:00:00Z 1772452800\n"


def test_a_template_may_be_a_file_that_is_read_at_each_write(tmp_path: Path) -> None:
    """UTF-8, whatever the locale."""
    source = tmp_path / "source"
    source.write_text("é {{ name }}", encoding="utf-8")
    made = sink("template", tmp_path / "file", template_file=str(source))
    made.write(lease())
    assert (tmp_path / "file").read_text(encoding="utf-8") == "é tt"
    source.write_text("new {{ name }}")
    assert made.write(lease())
    source.write_bytes(b"\xff")
    with pytest.raises(SinkError, match="source: it is not UTF-8"):
        made.write(lease())
    source.unlink()
    with pytest.raises(SinkError, match="source: No such file"):
        made.write(lease())
    assert (tmp_path / "file").read_text() == "new tt"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("a\n{{ access_token", "the template's line 2 is wrong"),
        ("{{ access_token | nonsense }}", "the template's line 1 is wrong: No filter named 'nonsense'"),
        ("{{ acess_token }}", "asks for 'acess_token', which is not there"),
        ("{{ headers[access_token] }}", "asks for something that is not there"),
        ("{{ headers[access_token[:20]] }}", "asks for something that is not there"),
        ("{{ access_token.encode(access_token) }}", "the template failed (LookupError)"),
        ("{{ 1 / 0 }}", "the template failed (ZeroDivisionError)"),
        ("{{ ''.__class__.__mro__ }}", "the template failed (SecurityError)"),
        ("{{ headers.clear() }}", "the template failed (SecurityError)"),
        ("{{ cycler.__init__.__globals__ }}", "the template failed (SecurityError)"),
        ("{% include 'x' %}", "the template failed"),
        ("{{ '\\ud800' }}", "the template failed (UnicodeEncodeError)"),
    ],
)
def test_a_template_s_fault_is_reported_without_the_token(tmp_path: Path, template: str, told: str) -> None:
    """P4: Jinja's own messages quote what was looked up, and that may be the token or a part of it."""
    with pytest.raises(SinkError) as refused:
        render(tmp_path, template)
    assert told in str(refused.value)
    shown = "".join(traceback.format_exception(refused.value))
    assert PLANTED[:20] not in shown
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("keys", [{}, {"template": "x", "template_file": "/x"}])
def test_a_template_is_given_in_one_way(tmp_path: Path, keys: dict[str, str]) -> None:
    """Either in the configuration or in a file of its own."""
    with pytest.raises(ValidationError, match="either template or template_file"):
        sink("template", tmp_path / "file", **keys)


def test_a_template_may_be_made_of_several_tokens(tmp_path: Path) -> None:
    """Each by its name in ``tokens``, its own among them; what is not named is not there."""
    template = "{{ access_token }}={{ tokens.tt.access_token }} {{ tokens['a-b'].access_token }}"
    made = sink("template", tmp_path / "file", template=template, tokens=["a-b"])
    other = lease(name="a-b", value="planted-fake-other")
    assert made.write_all(lease(), {"a-b": other})
    assert (tmp_path / "file").read_text() == f"{PLANTED}={PLANTED} planted-fake-other"
    with pytest.raises(SinkError, match="something that is not there"):
        made.write_all(lease(), {})
