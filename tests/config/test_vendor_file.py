"""Vendors' files: each fault has its line; no client id, no code."""

from pathlib import Path

import pytest

from tests.config.vendor_texts import ACME, USER, with_vendor
from tests.config.written import only, refused


def line_of(text: str, start: str) -> int:
    """Return the number of the line that begins so."""
    return next(number for number, line in enumerate(text.split("\n"), 1) if line.startswith(start))


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("title =", "titel =", "titel", 'unknown key "titel"; known are checked, docs, environments, needs, notes'),
        ("title =", "titel =", "titel", 'did you mean "title"?'),
        ('"https://acme.example/docs"', '"acme.example"', "docs", "docs: expected a text of the form ^https://"),
        ("2026-11-30", '"2026-11-30"', "checked", "checked: expected another type of value"),
        ('["Fake."]', '"Fake."', "notes", "notes: expected an array"),
        ('kind = "oauth2"', "", "[provider]", "kind is missing"),
        ('kind = "oauth2"', 'kind = "command"', "kind", "a vendor's file holds no code"),
        ("scope =", "client_id = \"x\"\nscope =", "client_id = \"x", "client_id is the user's own"),
        ("scope =", 'access = { users = ["x"] }\nscope =', "access", "access is the user's own"),
        ("scope =", 'vendor = "x"\nscope =', "vendor", "vendor is the user's own"),
        ("scope =", 'secrets.k = { command = ["x"] }\nscope =', "secrets", "a vendor's file holds no code"),
        ("client_id =", '"a..b" = "x"\nclient_id =', '"a..b"', "it is the path of a key"),
        ("pattern =", 'patern = "x"\npattern =', "patern", 'unknown key "patern"'),
        ('"[a-z.]{1,20}"', '"[a-z"', "pattern", "pattern: a pattern is one character class with a length"),
        ('"acme.example"\n', '"A"\n', "default", "default: it does not fit the pattern"),
        ("{tenant}", "tenant", "[placeholders.tenant]", "no text of the table has {tenant}"),
        ("tenant", "name", "[placeholders.name]", "a placeholder's name is"),
        ("[provider]", "[other]", "[other]", 'unknown key "other"'),
    ],
)  # fmt: skip
def test_a_fault_of_a_vendor_s_file_is_at_its_line(tmp_path: Path, old: str, new: str, line: str, message: str) -> None:
    """In the vendor's file."""
    vendor = ACME.replace(old, new)
    found = [one for one in refused(with_vendor(tmp_path, vendor=vendor)) if message in one.message]
    assert [(one.file, one.line) for one in found] == [(f"{tmp_path}/vendors/acme.toml", line_of(vendor, line))]


def test_all_faults_of_a_vendor_s_file_are_reported_at_once(tmp_path: Path) -> None:
    """Those of single keys, and those that need the other keys."""
    vendor = ACME.replace("title =", "titel =").replace("scope =", 'client_id = "x"\nscope =').replace("{tenant}", "t")
    found = {one.line for one in refused(with_vendor(tmp_path, vendor=vendor))}
    assert found == {line_of(vendor, start) for start in ("titel", 'client_id = "x"', "[placeholders.tenant]")}
    misspelt = refused(with_vendor(tmp_path, vendor=vendor.replace("pattern =", "patern =")))
    assert len(misspelt) == 4  # the placeholder's own two in place of its use
    without = vendor.replace("[provider]", "[provide]")
    assert any(one.message == "provider is missing" for one in refused(with_vendor(tmp_path, vendor=without)))


def test_a_vendor_s_file_with_a_syntax_error_is_reported_once(tmp_path: Path) -> None:
    """Also where two providers use it."""
    path = with_vendor(tmp_path, USER + USER.replace("providers.acme", "providers.b"), "title = [")
    error = only(refused(path))
    assert error.file == f"{tmp_path}/vendors/acme.toml"
    assert error.message.startswith("not TOML")
