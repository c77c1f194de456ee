"""Tables with ``vendor``: the user's keys win, tables merge, arrays replace, and each fault is where it was written."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.config.vendor_texts import ACME, USER, with_vendor
from tests.config.written import loaded, only, refused, written
from tokend.config import Config
from tokend.providers.oauth2.kind import OAuth2


def settings(config: Config, name: str = "acme") -> OAuth2:
    """Return the settings of a provider of kind oauth2."""
    found = config.providers[name].settings
    assert isinstance(found, OAuth2)
    return found


def test_the_vendor_s_file_gives_what_the_user_did_not_write(tmp_path: Path) -> None:
    """Its placeholders have their defaults, and braces of the kind stay."""
    found = settings(loaded(with_vendor(tmp_path)))
    assert found.token_url == "https://acme.example/token"
    assert found.client_id == "fake-client"
    assert found.headers == {"Authorization": "Acme {token}"}


def test_the_user_s_keys_win_tables_merge_and_arrays_replace(tmp_path: Path) -> None:
    """At any depth."""
    user = USER + 'scope = ["three"]\nanswer = { extra = { more = "more" } }\nheaders = { X-Mine = "1" }\n'
    found = settings(loaded(with_vendor(tmp_path, user)))
    assert found.scope == ("three",)
    assert found.answer.extra.keys() == {"shard", "more"}
    assert found.answer.lifetime == timedelta(hours=1)
    assert found.headers == {"Authorization": "Acme {token}", "X-Mine": "1"}


def test_the_table_is_the_same_as_one_that_is_written_out(tmp_path: Path) -> None:
    """A reload compares the merged table: a change to `vendor` alone changes nothing."""
    out = USER.replace(
        'vendor = "acme"',
        'kind = "oauth2"\ngrant = "client_credentials"\ntoken_url = "https://acme.example/token"\n'
        'scope = ["one", "two"]\nanswer = { extra = { shard = "shard" }, lifetime = "1h" }\n'
        'headers = { Authorization = "Acme {token}" }',
    )
    by_vendor = loaded(with_vendor(tmp_path)).providers["acme"]
    assert by_vendor == loaded(written(tmp_path, out)).providers["acme"]


@pytest.mark.parametrize(
    "vendor", ['vendor = "acme"\nenvironment = "sim"', 'vendor = { name = "acme", environment = "sim" }']
)
def test_an_environment_is_a_variant_of_the_file(tmp_path: Path, vendor: str) -> None:
    """Its keys are merged over the provider's. It stands beside `vendor` or in its table."""
    found = settings(loaded(with_vendor(tmp_path, USER.replace('vendor = "acme"', vendor))))
    assert found.token_url == "https://sim.acme.example/token"
    assert found.answer.lifetime == timedelta(hours=2)
    assert found.answer.extra.keys() == {"shard"}


def test_a_placeholder_is_filled_from_the_user_s_table(tmp_path: Path) -> None:
    """In every text of the vendor's table."""
    user = USER.replace('"acme"\n', '{ name = "acme", tenant = "other.example" }\n')
    assert settings(loaded(with_vendor(tmp_path, user))).token_url == "https://other.example/token"


def test_two_accounts_of_one_vendor_are_two_tables(tmp_path: Path) -> None:
    """Each has its own placeholders."""
    second = USER.replace("providers.acme", "providers.second").replace(
        '"acme"\n', '{ name = "acme", tenant = "b.c" }\n'
    )
    config = loaded(with_vendor(tmp_path, USER + second))
    assert settings(config).token_url == "https://acme.example/token"
    assert settings(config, "second").token_url == "https://b.c/token"


@pytest.mark.parametrize(
    ("vendor", "line", "column", "message"),
    [
        ('"acmee"', 2, 1, 'there is no vendor "acmee"; it is one of "acme", '),
        ('"acmee"', 2, 1, 'did you mean "acme"?'),
        ('"../vendors/acme"', 2, 1, "there is no vendor"),
        ("3", 2, 1, "vendor is the name of a vendor, or a table with one"),
        ('{ tenant = "a" }', 2, 1, "vendor is the name of a vendor, or a table with one"),
        ('{ name = "acme", tennant = "a" }', 2, 27, 'vendor "acme" has no "tennant"; known are name, environment'),
        ('{ name = "acme", tenant = "A!" }', 2, 27, "tenant: expected a text of the form [a-z.]{1,20}"),
        ('{ name = "acme", tenant = true }', 2, 27, "tenant: expected a text of the form [a-z.]{1,20}"),
        ('{ name = "acme", environment = "sin" }', 2, 27, 'environment: expected one of "sim"; did you mean "sim"?'),
        ('"acme"\nenvironment = "live"', 3, 1, 'environment: expected one of "sim"'),
        ('{ name = "acme", environment = "sim" }\nenvironment = "sim"', 3, 1, "environment stands beside vendor"),
    ],
)  # fmt: skip
def test_a_wrong_vendor_is_an_error_at_its_place(
    tmp_path: Path, vendor: str, line: int, column: int, message: str
) -> None:
    """Nothing else is reported: what follows from it is not judged."""
    error = only(refused(with_vendor(tmp_path, USER.replace('"acme"', vendor, 1))))
    assert (error.line, error.column) == (line, column)
    assert message in error.message


def test_a_placeholder_without_a_default_must_be_written(tmp_path: Path) -> None:
    """The error says how, and what it is."""
    vendor = ACME.replace('default = "acme.example"', 'meaning = "the host of your account"')
    error = only(refused(with_vendor(tmp_path, vendor=vendor)))
    assert (error.line, error.column) == (2, 1)
    assert error.message == 'tenant is missing: vendor = { name = "acme", tenant = "…" } (the host of your account)'


def test_what_the_vendor_needs_and_is_missing_is_reported_once(tmp_path: Path) -> None:
    """At the user's `vendor`, with what it is; the user's own faults are reported beside it."""
    errors = refused(with_vendor(tmp_path, '[providers.acme]\nvendor = "acme"\nscopee = "x"\n'))
    assert [(one.line, one.message.partition(";")[0]) for one in errors] == [
        (2, 'client_id is missing: vendor "acme" needs it (the id of the app)'),
        (2, 'client_secret is missing: vendor "acme" needs it (its secret)'),
        (3, 'unknown key "scopee"'),
    ]


def test_a_fault_in_a_default_names_the_vendor_s_file_and_key(tmp_path: Path) -> None:
    """The place is the user's `vendor`."""
    vendor = ACME.replace('lifetime = "1h"', 'lifetime = "soon"')
    error = only(refused(with_vendor(tmp_path, vendor=vendor)))
    assert (error.file, error.line, error.column) == (str(tmp_path / "config.toml"), 2, 1)
    assert error.excerpt == 'vendor = "acme"'
    assert error.message.endswith(f"(from {tmp_path}/vendors/acme.toml: provider.answer.lifetime)")
    assert error.where == ("providers", "acme", "answer", "lifetime")


def test_a_fault_in_an_environment_s_default_names_that_key(tmp_path: Path) -> None:
    """An environment's keys stand elsewhere in the file."""
    vendor = ACME.replace('lifetime = "2h"', 'lifetime = "soon"')
    user = USER.replace('"acme"\n', '"acme"\nenvironment = "sim"\n')
    error = only(refused(with_vendor(tmp_path, user, vendor)))
    assert error.message.endswith(f"(from {tmp_path}/vendors/acme.toml: environments.sim.answer.lifetime)")


def test_a_fault_in_the_user_s_key_is_at_his_line(tmp_path: Path) -> None:
    """Also where the table around it is merged."""
    error = only(refused(with_vendor(tmp_path, USER + 'answer.lifetime = "soon"\n')))
    assert error.line == 5
    assert "acme.toml" not in error.message


def test_a_warning_about_a_default_names_the_vendor_s_file(tmp_path: Path) -> None:
    """Checks of later stages find it, too."""
    vendor = ACME.replace('token_url = "https://{tenant}', 'token_url = "http://127.0.0.1:1')
    (warning,) = [one for one in loaded(with_vendor(tmp_path, vendor=vendor)).warnings if one.code == "plain_http"]
    assert warning.line == 2
    assert warning.message.endswith("acme.toml: provider.token_url)")


def test_sinks_of_a_table_with_a_wrong_vendor_are_checked(tmp_path: Path) -> None:
    """All errors are reported at once."""
    user = USER.replace('"acme"', '"none"') + '[[providers.acme.sinks]]\nkind = "rav"\npath = "x"\n'
    assert [error.line for error in refused(with_vendor(tmp_path, user))] == [2, 6]


def test_a_misspelt_vendor_is_found_in_a_table_without_a_kind(tmp_path: Path) -> None:
    """The kind is missing then."""
    error = only(refused(with_vendor(tmp_path, USER.replace("vendor =", "vender ="))))
    assert error.message.startswith('kind is missing; found "vender"')


def test_a_part_that_the_vendor_gives_of_a_needed_secret_is_not_the_secret(tmp_path: Path) -> None:
    """Its encoding is the vendor's, its place the user's."""
    vendor = ACME.replace("[environments.sim]", '[provider.client_secret]\nencoding = "hex"\n\n[environments.sim]')
    found = settings(loaded(with_vendor(tmp_path, USER.replace("KEY", "HEX"), vendor), environ={"HEX": "ab" * 20}))
    assert found.client_secret is not None
    assert (found.client_secret.env, found.client_secret.encoding) == ("HEX", "hex")
    user = USER.replace('client_secret = { env = "KEY" }\n', "")
    error = only(refused(with_vendor(tmp_path, user, vendor)))
    assert error.message == 'client_secret is missing: vendor "acme" needs it (its secret)'


def test_a_number_is_the_text_of_a_placeholder(tmp_path: Path) -> None:
    """As it is for parameters."""
    vendor = ACME.replace('"[a-z.]{1,20}"\ndefault = "acme.example"', '"[0-9]{1,4}"')
    user = USER.replace('"acme"\n', '{ name = "acme", tenant = 7 }\n')
    assert settings(loaded(with_vendor(tmp_path, user, vendor))).token_url == "https://7/token"


def test_what_only_follows_from_a_missing_placeholder_is_not_reported(tmp_path: Path) -> None:
    """The vendor's texts cannot be judged without it; the user's own keys can."""
    vendor = ACME.replace('default = "acme.example"\n', "").replace('"1h"', '"{tenant}"')
    errors = refused(with_vendor(tmp_path, USER + "refresh_before = 1\n", vendor))
    assert [(one.line, one.message.partition(":")[0]) for one in errors] == [
        (2, "tenant is missing"),
        (5, "refresh_before"),
    ]


def test_no_secret_stands_in_a_vendor_s_file(tmp_path: Path) -> None:
    """It may be readable for everybody. The message shows nothing of it."""
    vendor = ACME.replace("scope =", 'client_secret = "obviously-fake-secret"\nscope =').replace(
        'client_secret = "its secret"\n', ""
    )
    user = USER.replace('client_secret = { env = "KEY" }\n', "")
    error = only(refused(with_vendor(tmp_path, user, vendor)))
    assert error.line == 2
    assert error.message.startswith("no secret stands in a vendor's file")
    assert error.message.endswith("acme.toml: provider.client_secret)")
    assert "obviously" not in str(error)
    loaded(with_vendor(tmp_path, USER, vendor))
