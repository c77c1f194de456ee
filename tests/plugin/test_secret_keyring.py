"""A secret in the keyring; tests/counterparts reads one of a real gnome-keyring."""

import sys
import threading

import pytest
from pydantic import ValidationError
from secretstorage.exceptions import SecretStorageException

from tests.plugin.test_secret_reading import source
from tests.sinks.stores.played_keyring import NAMES, PlayedKeyring
from tokend.plugin.secret_inspection import Inspected, inspect_secret
from tokend.plugin.secret_keyring import MOST_CALLS
from tokend.plugin.secret_reading import LARGEST_SECRET_BYTES, read_secret
from tokend.plugin.secret_source import keyring_names
from tokend.values.errors import SecretError

ITEM = {"keyring": "app/token"}


def holding(secret: bytes) -> PlayedKeyring:
    """A default keyring with one item of ours."""
    keyring = PlayedKeyring()
    keyring.create_item("ours", NAMES, secret)
    return keyring


def refused() -> str:
    with pytest.raises(SecretError) as raised:
        read_secret(source(ITEM))
    assert raised.value.detail.startswith("keyring item app/token")
    assert "planted" not in raised.value.detail
    return raised.value.detail


def test_an_item_is_read_at_each_use() -> None:
    """The rules of every secret hold: one newline at the end, encoding, selection."""
    keyring = holding(b"planted-fake\n")
    assert read_secret(source(ITEM)).reveal() == "planted-fake"
    keyring.overwrite('{"key": "eA=="}')
    assert read_secret(source({**ITEM, "select": "key", "encoding": "base64"})).reveal() == "x"


def test_what_cannot_be_read_is_named() -> None:
    """Place and reason, without a word of the service. Nothing is unlocked."""
    keyring = holding(b"planted-fake")
    keyring.refusing = True
    assert "waits for the keyring to be unlocked" in refused()
    keyring.refusing = False
    keyring.items[-1].locked = True
    assert "waits for the item to be unlocked" in refused()
    keyring.delete()
    assert "the default keyring has no item of this service and username" in refused()
    keyring.trouble = SecretStorageException("planted")
    assert "the keyring refused (SecretStorageException)" in refused()
    keyring.close()
    assert "is this a desktop session" in refused()
    keyring = holding(b"x" * (LARGEST_SECRET_BYTES + 1))
    assert "is larger than 65536 bytes" in refused()
    for name in ("first", "second"):
        keyring.create_item(name, {**NAMES, "number": name}, b"planted")
    assert "has 3 such items" in refused()


def test_the_last_slash_is_between_service_and_user() -> None:
    """A service may be a URL."""
    assert keyring_names("https://api.example/x/me") == ("https://api.example/x", "me")
    for wrong in ("app", "/token", "app/", "", "a\n/b"):
        with pytest.raises(ValidationError, match="write service and user of the item"):
            source({"keyring": wrong})
    assert str(source({"keyring": "app/sk-planted-fake"})) == "keyring item (not shown)"


def test_a_check_asks_no_keyring() -> None:
    """It may be locked, and it is another one for the administrator who checks."""
    keyring = holding(b"planted-fake")
    assert inspect_secret("key", source(ITEM)) == Inspected(None, None, ())
    assert keyring.opened == 0


def test_a_service_that_hangs_takes_a_limited_number_of_threads() -> None:
    """The call is abandoned in time, and more than a few do not begin."""
    keyring = holding(b"planted-fake")
    released, search, begun = threading.Event(), keyring.search_items, threading.Semaphore(0)

    def hanging(attributes: dict[str, str]) -> object:
        begun.release()
        return released.wait(20) and search(attributes)

    keyring.search_items = hanging  # type: ignore[method-assign, assignment]
    threads = [threading.Thread(target=lambda: read_secret(source(ITEM))) for _ in range(MOST_CALLS)]
    for one in threads:
        one.start()
    for _ in threads:
        assert begun.acquire(timeout=20)
    assert f"{MOST_CALLS} earlier calls to the keyring still hang" in refused()
    released.set()
    for one in threads:
        one.join(20)
    keyring.search_items = search  # type: ignore[method-assign]
    assert read_secret(source(ITEM)).reveal() == "planted-fake"


def test_the_package_is_an_extra_that_a_check_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the configuration is wrong, and the message says what to install."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "secretstorage"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])
    with pytest.raises(ValidationError, match=r'keyring = } needs the package secretstorage: pip install "tokend\[key'):
        source(ITEM)
