"""An item of the keyring: what a lock, a second item, another writer and a service that hangs mean."""

import sys
import threading
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from tests.sinks import played_store
from tests.sinks.leases import PLANTED
from tests.sinks.played_store import Row, Stage, put
from tests.sinks.stores.played_keyring import NAMES, PlayedKeyring
from tokend.sinks.stores.keyring import KeyringSink
from tokend.values.errors import NewerGenerationError, SinkConflictError, SinkError, SinkUnavailableError

ROW = Row(KeyringSink, PlayedKeyring, over_http=False)


run = partial(played_store.run, ROW)


def test_the_package_is_an_extra_that_a_check_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the configuration is wrong, and the message says what to install."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "secretstorage"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])
    with pytest.raises(ValidationError, match=r'needs the package secretstorage: pip install "tokend\[keyring\]"'):
        KeyringSink.model_validate({"kind": "keyring", **NAMES})


def test_an_item_has_the_names_that_other_programs_look_for() -> None:
    """And beside them writer and generation, which are no secret."""

    async def main(stage: Stage) -> None:
        await put(stage)
        item = stage.store.item()
        assert item.attributes == {**NAMES, "tokend-writer": stage.runtime.writer, "tokend-generation": "7"}
        assert PLANTED not in item.label

    run(main)


def test_an_item_of_another_program_keeps_its_attributes() -> None:
    """Python's keyring made it: its value is replaced, and it is still found."""

    async def main(stage: Stage) -> None:
        stage.store.create_item("theirs", {**NAMES, "application": "Python keyring library"}, b"before")
        await put(stage)
        assert len(stage.store.search_items(NAMES)) == 1
        assert stage.store.item().attributes["application"] == "Python keyring library"
        assert stage.store.held() == PLANTED

    run(main)


def test_a_newer_token_or_another_writers_stays() -> None:
    """Until an admin decides."""

    async def main(stage: Stage) -> None:
        await put(stage, "planted-fake-newer", generation=9)
        with pytest.raises(NewerGenerationError) as refused:
            await put(stage)
        assert refused.value.generation == 9
        stage.store.item().attributes["tokend-writer"] = "another"
        for call in (put(stage, generation=99), stage.sink.remove(stage.runtime, None)):
            with pytest.raises(SinkConflictError, match="another writer"):
                await call
        assert stage.store.held() == "planted-fake-newer"
        stage.runtime.may_take_over = True
        await put(stage)
        assert stage.store.held() == PLANTED

    run(main)


def test_a_locked_keyring_or_item_is_waited_for() -> None:
    """The library can unlock, which asks the user: the played keyring has no such method."""

    async def main(stage: Stage) -> None:
        await put(stage)
        stage.store.refusing = True
        for call in (put(stage), stage.sink.remove(stage.runtime, None), stage.sink.inspect(stage.runtime)):
            with pytest.raises(SinkError, match="waits for the keyring to be unlocked"):
                await call
        stage.store.refusing = False
        stage.store.item().locked = True
        with pytest.raises(SinkError, match="waits for the item to be unlocked"):
            await put(stage)

    run(main)


def test_two_items_with_the_same_names_are_not_guessed_between() -> None:
    """A reader may find either."""

    async def main(stage: Stage) -> None:
        for number in ("1", "2"):
            stage.store.create_item("theirs", {**NAMES, "number": number}, b"before")
        with pytest.raises(SinkError, match="the keyring has 2 such items: delete all but one"):
            await put(stage)

    run(main)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("SecretServiceNotAvailableException", SinkUnavailableError, "there is no Secret Service: is this a desktop"),
        ("LockedException", SinkError, "waits for the keyring to be unlocked"),
        ("ItemNotFoundException", SinkError, "there is no default keyring"),
        ("PromptDismissedException", SinkError, "there is no default keyring"),
        ("SecretStorageException", SinkError, "the keyring refused (SecretStorageException)"),
        ("ConnectionResetError", SinkUnavailableError, "there is no Secret Service"),
        ("FileNotFoundError", SinkUnavailableError, "there is no Secret Service"),
    ],
)
def test_an_error_is_raised_by_what_happens_next(name: str, error: type[SinkError], words: str) -> None:
    """Without the library's words."""
    import builtins

    from secretstorage import exceptions

    async def main(stage: Stage) -> None:
        stage.store.trouble = (getattr(exceptions, name, None) or getattr(builtins, name))("planted")
        with pytest.raises(error) as refused:
            await put(stage)
        assert words in refused.value.detail
        assert "planted" not in refused.value.detail

    run(main)


def test_a_connection_that_ends_in_the_middle_is_unavailable() -> None:
    """The service has crashed, or the session ended."""

    async def main(stage: Stage) -> None:
        def broken(attributes: dict[str, str]) -> Any:
            raise EOFError("planted")

        stage.store.search_items = broken
        with pytest.raises(SinkUnavailableError, match=r"the connection to the keyring broke off \(EOFError\)"):
            await put(stage)

    run(main)


def test_a_service_that_hangs_takes_one_thread() -> None:
    """The attempt ends in time; further ones do not begin until that thread has ended."""

    async def main(stage: Stage) -> None:
        released = threading.Event()
        search = stage.store.search_items
        stage.store.search_items = lambda attributes: released.wait(20) and search(attributes)
        stage.sink = stage.sink.model_copy(update={"timeout": timedelta(seconds=0.2)})
        with pytest.raises(SinkUnavailableError, match=r"no answer within 0\.2 s"):
            await put(stage)
        threads = set(threading.enumerate())
        for _ in range(3):
            with pytest.raises(SinkError, match="an earlier call to the keyring still hangs"):
                await put(stage)
        # A thread of a pool has this name; those of other tests may begin and end meanwhile.
        assert [one for one in threading.enumerate() if one not in threads and one.name == "tokend"] == []
        released.set()
        stage.sink = stage.sink.model_copy(update={"timeout": timedelta(seconds=10)})
        with anyio.fail_after(10):
            while True:
                try:
                    await put(stage)
                    break
                except SinkError:
                    await anyio.sleep(0.01)

    run(main)
