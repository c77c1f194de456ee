"""Names in Vault: what a mount, a path and a namespace may be."""

import pytest

from tokend.plugin.vault_names import vault_names


@pytest.mark.parametrize("written", ["team/app", "/team/app", "team/app/"])
def test_a_slash_at_either_end_is_no_part_of_the_names(written: str) -> None:
    """Vault's own commands take both."""
    assert vault_names(written, in_header=True) == "team/app"


@pytest.mark.parametrize("written", ["", "/", "a//b", "../sys", "a/./b", "a\nb"])
def test_names_that_lead_elsewhere_are_refused(written: str) -> None:
    """A path of a request is made of them."""
    with pytest.raises(ValueError, match="write names with / between them"):
        vault_names(written, in_header=False)


def test_only_what_is_sent_in_a_header_is_ascii() -> None:
    """A path is encoded."""
    assert vault_names("über", in_header=False) == "über"
    with pytest.raises(ValueError, match="a namespace is ASCII"):
        vault_names("über", in_header=True)
