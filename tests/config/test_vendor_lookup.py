"""The vendors' files: tokend's and the administrator's; none replaces another, and his must be trusted."""

from pathlib import Path

import pytest

from tests.config.vendor_texts import ACME, USER, with_vendor
from tests.config.written import loaded, only, refused, written
from tokend.config.findings import Findings
from tokend.config.paths import OWN_VENDORS, vendor_directories
from tokend.config.vendor_lookup import BUILT_IN, VendorLookup


def test_tokend_s_vendors_are_found_without_a_directory(tmp_path: Path) -> None:
    """A configuration in an empty directory can name them."""
    config = loaded(written(tmp_path, '[providers.gh]\nvendor = "github"\nclient_id = "fake-id"\n'))
    assert config.providers["gh"].settings.kind == "oauth2"
    assert set(config.vendor_files) <= {OWN_VENDORS}


def test_the_administrator_s_directories_are_the_machine_s_and_the_one_beside_the_configuration() -> None:
    """For the machine's own configuration they are one."""
    assert vendor_directories(Path("/etc/tokend/config.toml")) == (Path("/etc/tokend/vendors"),)
    assert vendor_directories(Path("/x/c.toml")) == (Path("/etc/tokend/vendors"), Path("/x/vendors"))


def test_a_file_never_replaces_one_of_tokend_s(tmp_path: Path) -> None:
    """Also if the configuration names another vendor."""
    written(tmp_path, ACME, name="vendors/github.toml")
    error = only(refused(with_vendor(tmp_path)))
    assert error.file == f"{tmp_path}/vendors/github.toml"
    assert error.message.startswith('vendor "github" is one of tokend\'s own')


def test_two_directories_have_no_vendor_of_one_name(tmp_path: Path) -> None:
    """The second one is an error."""
    first = written(tmp_path, ACME, name="a/acme.toml")
    second = written(tmp_path, ACME, name="b/acme.toml")
    findings = Findings()
    assert "acme" in VendorLookup((first.parent, second.parent), findings)
    assert [(one.file, one.message) for one in findings.errors] == [
        (str(second), f'vendor "acme" is in {first} already, and no file replaces another: give this one another name')
    ]


@pytest.mark.parametrize("name", [".acme.toml", "acme.toml~", "acme.toml.bak", "acme.txt"])
def test_backups_and_hidden_files_are_no_vendors(tmp_path: Path, name: str) -> None:
    """As with included files."""
    written(tmp_path, ACME, name=f"vendors/{name}")
    assert VendorLookup((tmp_path / "vendors",), Findings()).names() == sorted(
        path.stem for path in BUILT_IN.glob("*.toml")
    )


def test_an_unused_file_with_errors_stops_nothing(tmp_path: Path) -> None:
    """Only the files that a configuration names are read."""
    written(tmp_path, "broken", name="vendors/broken.toml")
    loaded(with_vendor(tmp_path))


def test_a_file_that_others_may_write_is_an_error(tmp_path: Path) -> None:
    """They would choose where secrets are sent."""
    path = with_vendor(tmp_path)
    (tmp_path / "vendors/acme.toml").chmod(0o666)
    error = only(refused(path))
    assert error.file == f"{tmp_path}/vendors/acme.toml"
    assert error.message.startswith("this file is at an unsafe path: every user may write to")


def test_a_start_goes_on_without_the_providers_of_an_unsafe_file(tmp_path: Path) -> None:
    """They make no attempt; the others run."""
    other = USER.replace("providers.acme", "providers.gh").replace('"acme"', '"github"').split("client_secret")[0]
    path = with_vendor(tmp_path, USER + other)
    (tmp_path / "vendors/acme.toml").chmod(0o666)
    config = loaded(path, starting=True)
    assert "every user may write" in str(config.providers["acme"].unsafe)
    assert config.providers["gh"].unsafe is None


GOOD = USER.replace("providers.acme", "providers.gh").replace('"acme"', '"github"').split("client_secret")[0]
WRONG = {
    "no TOML": "broken",
    "a table of its own": "[wrong]\n",
    "no provider": 'title = "Acme"\n',
    "another name": ACME.replace("[needs]", "[need]"),
    "a value of its kind": ACME.replace('lifetime = "1h"', 'lifetime = "an hour"'),
    "a kind that is not there": ACME.replace('"oauth2"', '"oauth3"'),
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_start_goes_on_without_the_providers_of_a_file_with_errors(tmp_path: Path, text: str) -> None:
    """A check and a reload refuse it. The file is watched, so that the providers come when it is corrected."""
    path = with_vendor(tmp_path, USER + GOOD)
    file = written(tmp_path, text, name="vendors/acme.toml")
    assert any(str(file) in f"{error.file} {error.message}" for error in refused(path))
    config = loaded(path, starting=True)
    assert (list(config.providers), set(config.left_out)) == (["gh"], {"acme"})
    said = [f"{one.file} {one.message}" for one in config.warnings]
    assert any(str(file) in one for one in said)
    assert f"{path} its vendor cannot be used; this provider is left out" in said
    assert file in config.vendor_files
    not_needed = written(tmp_path, USER + "required = false\n" + GOOD)
    assert loaded(not_needed, starting=True).left_out == set()


def test_a_start_goes_on_without_a_vendor_that_two_files_have(tmp_path: Path) -> None:
    """None of the two counts, and no other vendor is concerned: an upgrade may bring a name that is taken."""
    path = with_vendor(tmp_path, USER + GOOD)
    written(tmp_path, ACME, name="vendors/github.toml")
    config = loaded(path, starting=True)
    assert (list(config.providers), set(config.left_out)) == (["acme"], {"gh"})
    assert any("is one of tokend's own" in one.message for one in config.warnings)


def test_the_administrator_s_files_are_watched(tmp_path: Path) -> None:
    """And their directory; tokend's own belong to its code."""
    config = loaded(with_vendor(tmp_path))
    watched = [one for one in config.vendor_files if one != OWN_VENDORS]
    assert watched == [tmp_path / "vendors/acme.toml", tmp_path / "vendors"]
    assert not config.is_on_disk()


def test_a_changed_file_changes_the_provider_at_a_reload(tmp_path: Path) -> None:
    """The user's table is the same; the merged one is not."""
    path = with_vendor(tmp_path)
    before = loaded(path)
    assert loaded(path, before=before).providers["acme"] is before.providers["acme"]
    written(tmp_path, ACME.replace('lifetime = "1h"', 'lifetime = "3h"'), name="vendors/acme.toml")
    after = loaded(path, before=before).providers["acme"]
    assert after != before.providers["acme"]


def test_no_sink_writes_to_a_vendor_s_file(tmp_path: Path) -> None:
    """It is a part of the configuration."""
    sink = f'[[providers.acme.sinks]]\nkind = "raw"\npath = "{tmp_path}/vendors/acme.toml"\n'
    assert "is the configuration" in only(refused(with_vendor(tmp_path, USER + sink))).message


def test_a_directory_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A vendor there would not be found."""
    path = written(tmp_path, USER)
    (tmp_path / "vendors").symlink_to(tmp_path / "vendors")
    assert any("this directory cannot be read" in error.message for error in refused(path))
