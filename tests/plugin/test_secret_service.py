"""The keyring of the desktop: errors by what happens next. The sink's tests have what a write means."""

import pytest
from secretstorage import exceptions

from tests.sinks.stores.played_keyring import NAMES, PlayedKeyring
from tokend.plugin.secret_service import KeyringError, item_of, on_default_keyring


@pytest.mark.parametrize(
    ("trouble", "is_away"),
    [
        (exceptions.SecretServiceNotAvailableException("planted"), True),
        (FileNotFoundError("planted"), True),
        (exceptions.LockedException("planted"), False),
        (exceptions.ItemNotFoundException("planted"), False),
        (exceptions.SecretStorageException("planted"), False),
    ],
)
def test_an_error_says_whether_there_is_a_service(trouble: Exception, is_away: bool) -> None:
    """Without the service's words."""
    keyring = PlayedKeyring()
    keyring.trouble = trouble
    with pytest.raises(KeyringError) as raised:
        on_default_keyring(lambda found: found)
    assert raised.value.is_away is is_away
    assert "planted" not in str(raised.value)


def test_an_item_is_found_by_its_names_alone() -> None:
    """None if there is none."""
    keyring = PlayedKeyring()
    assert on_default_keyring(lambda found: item_of(found, NAMES)) is None
    keyring.create_item("ours", {**NAMES, "more": "x"}, b"fake")
    item = on_default_keyring(lambda found: item_of(found, NAMES))
    assert item is not None
    assert item.get_secret() == b"fake"
