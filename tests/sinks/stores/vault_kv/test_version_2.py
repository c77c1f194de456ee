"""KV version 2: patches with compare-and-set, their metadata, and what is done without some of the rights."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.sinks.leases import PLANTED
from tests.sinks.played_server import FAULTS, Answer
from tests.sinks.played_store import Row, Stage, content_of, put
from tests.sinks.stores.another_daemon import another_daemon
from tests.sinks.stores.played_vault import PlayedSecret, PlayedVault
from tests.sinks.stores.vaults import run, sent
from tokend.sinks.stores.vault import VaultSink
from tokend.values.errors import NewerGenerationError, SinkConflictError, SinkError, SinkRejectedError

OTHER = {"other": "somebody else's", "number": 2.5}


def options(stage: Stage) -> list[Any]:
    """The options of each write of data."""
    writes = [one for one in stage.store.server.requests if "/data/" in one.path and one.method != "GET"]
    return [one.json.get("options") for one in writes]


def test_a_patch_names_the_version_and_changes_our_keys_alone() -> None:
    """Metadata is read first and written last; its other entries stay."""

    async def main(stage: Stage) -> None:
        mark = await put(stage)
        assert sent(stage) == ["GET metadata/", "PATCH data/", "PATCH metadata/"]
        assert options(stage) == [{"cas": 1}]
        assert (mark.version, mark.remark) == ("2", None)
        assert stage.store.secret.current == {**OTHER, "token": PLANTED}
        writer = stage.runtime.writer
        assert stage.store.secret.custom == {
            "owner": "somebody else", "tokend-writer": writer, "tokend-writer.token": writer,
            "tokend-generation.token": "7",
        }  # fmt: skip

    run(main)


def test_the_same_generation_needs_no_second_entry() -> None:
    """A repair of a changed value leaves the metadata as it is."""

    async def main(stage: Stage) -> None:
        await put(stage)
        stage.store.overwrite("planted-fake-other")
        await put(stage)
        assert sent(stage)[3:] == ["GET metadata/", "PATCH data/"]

    run(main)


@pytest.mark.parametrize(
    ("make", "cas"),
    [
        (lambda secret: secret.versions.clear(), 0),
        (lambda secret: secret.delete(), 1),
        (lambda secret: secret.versions.__setitem__(0, None), 1),
    ],
    ids=["absent", "deleted", "destroyed"],
)
def test_a_secret_without_a_current_version_is_made(make: Callable[[PlayedSecret], None], cas: int) -> None:
    """With ``cas`` of the current version; 0 only where there never was one."""

    async def main(stage: Stage) -> None:
        make(stage.store.secret)
        found = await stage.sink.inspect(stage.runtime)
        assert found.digest is None
        mark = await stage.sink.put(stage.runtime, await content_of(stage), found)
        assert mark.version == str(cas + 1)
        assert options(stage)[-1] == {"cas": cas}
        assert stage.store.secret.current == {"token": PLANTED}
        assert stage.store.secret.custom["tokend-generation.token"] == "7"

    run(main)


@pytest.mark.parametrize("keys", [{}, {"update": "whole"}])
def test_a_faster_writer_keeps_its_change(keys: dict[str, Any]) -> None:
    """Read and written once more, on top of what the other has written."""

    async def main(stage: Stage) -> None:
        stage.store.before = lambda secret: secret.versions.append({**OTHER, "other": "newer"})
        await put(stage)
        assert stage.store.secret.current == {**OTHER, "other": "newer", "token": PLANTED}
        assert options(stage) == [{"cas": 1}, {"cas": 2}]

    run(main, **keys)


class Contended(PlayedVault):
    """Others write before each of our writes."""

    def _write(self, *given: Any) -> Answer:
        self.secret.versions.append({"other": "newer"})
        return super()._write(*given)


def test_two_faster_writers_end_the_attempt() -> None:
    """The engine tries again later; this is no conflict of owners."""

    async def main(stage: Stage) -> None:
        with pytest.raises(SinkError, match="twice") as refused:
            await put(stage)
        assert type(refused.value) is SinkError
        assert stage.store.secret.current == {"other": "newer"}

    run(main, Row(VaultSink, Contended))


def test_an_older_daemon_does_not_write_over_a_newer_one() -> None:
    """The same state directory with a lower generation, also where the newer one came between reading and writing."""

    async def main(stage: Stage) -> None:
        await stage.sink.put(stage.runtime, await content_of(stage, generation=9), None)
        with pytest.raises(NewerGenerationError) as newer:
            await stage.sink.put(stage.runtime, await content_of(stage, "planted-fake-old", generation=8), None)
        assert newer.value.generation == 9
        assert stage.store.held() == PLANTED

        def comes_between(secret: PlayedSecret) -> None:
            secret.versions.append({"token": "planted-fake-newest"})
            secret.custom = {**(secret.custom or {}), "tokend-generation.token": "11"}

        stage.store.before = comes_between
        with pytest.raises(NewerGenerationError):
            await stage.sink.put(stage.runtime, await content_of(stage, generation=10), None)
        assert stage.store.held() == "planted-fake-newest"

    run(main)


def test_another_daemon_is_a_conflict_until_its_admin_decides() -> None:
    """For the same key; neither a write nor a removal happens."""

    async def main(stage: Stage) -> None:
        await put(stage)
        other, made = another_daemon(stage), await content_of(stage, "planted-fake-other")
        with pytest.raises(SinkConflictError):
            await stage.sink.put(other, made, None)
        with pytest.raises(SinkConflictError):
            await stage.sink.remove(other, None)
        assert stage.store.held() == PLANTED
        await stage.sink.put(another_daemon(stage, decided=True), made, None)
        assert stage.store.held() == "planted-fake-other"
        with pytest.raises(SinkConflictError):
            await put(stage)

    run(main)


def test_daemons_may_have_keys_of_their_own_in_one_secret() -> None:
    """Each writes its own key and its own entries."""

    async def main(stage: Stage) -> None:
        await put(stage)
        other = another_daemon(stage)
        second = type(stage.sink).model_validate({**dict(stage.sink), "field": "USER"})
        await second.put(other, await content_of(stage, "planted-fake-second"), None)
        await stage.sink.put(stage.runtime, await content_of(stage, "planted-fake-third", generation=8), None)
        assert stage.store.secret.current == {**OTHER, "token": "planted-fake-third", "USER": "planted-fake-second"}
        assert stage.store.secret.custom["tokend-writer.USER"] == other.writer
        await second.remove(other, None)
        assert stage.store.secret.custom["tokend-writer"]
        assert stage.store.held() == "planted-fake-third"

    run(main)


def test_metadata_that_may_not_be_read_makes_tokend_blind() -> None:
    """No ``cas``, no generation, and the status says so. A missing secret is made all the same."""

    async def main(stage: Stage) -> None:
        stage.store.denied.add("GET metadata/")
        mark = await put(stage)
        assert mark.remark == "blind: the policy lacks read on secret/metadata/app"
        assert options(stage) == [None]
        assert stage.store.secret.current == {**OTHER, "token": PLANTED}
        assert stage.store.secret.custom == {"owner": "somebody else"}
        gone = await stage.sink.remove(stage.runtime, mark)
        assert gone.remark.startswith("blind: ")
        assert stage.store.secret.current == OTHER
        stage.store.secret.versions.clear()
        await put(stage)
        assert sent(stage)[-2:] == ["PATCH data/", "POST data/"]
        stage.store.secret.delete()
        assert (await stage.sink.remove(stage.runtime, None)).digest is None

    run(main)


@pytest.mark.parametrize("status", ["denied", "unsupported"])
def test_metadata_that_may_not_be_written_is_said(status: str) -> None:
    """The token is there; no generation is."""

    async def main(stage: Stage) -> None:
        getattr(stage.store, status).add("PATCH metadata/")
        mark = await put(stage)
        assert mark.remark == "no generation is kept: the policy lacks patch on secret/metadata/app"
        assert stage.store.held() == PLANTED

    run(main)


class WithoutMetadata(PlayedVault):
    """A server that answers 404 to everything about metadata, as simple ones do."""

    def _metadata(self, *_: Any) -> Answer:
        return Answer(404, {"errors": []})


def test_a_server_without_metadata_is_said() -> None:
    """The token is there."""

    async def main(stage: Stage) -> None:
        stage.store.secret.versions.clear()
        mark = await put(stage)
        assert mark.remark == "no generation is kept: the server knows no metadata"
        assert stage.store.held() == PLANTED

    run(main, Row(VaultSink, WithoutMetadata))


def test_a_store_without_patch_is_not_guessed() -> None:
    """The message names the capability and the key; with ``update = "whole"`` the others' keys stay."""

    async def main(stage: Stage) -> None:
        stage.store.denied.add("PATCH data/")
        with pytest.raises(SinkRejectedError, match=r"lacks the capability patch on secret/data/app; or set update ="):
            await put(stage)
        assert stage.store.secret.current == OTHER
        whole = type(stage.sink).model_validate({**dict(stage.sink), "update": "whole"})
        await whole.put(stage.runtime, await content_of(stage), None)
        assert options(stage)[-1] == {"cas": 1}
        assert stage.store.secret.current == {**OTHER, "token": PLANTED}
        await whole.remove(stage.runtime, None)
        assert stage.store.secret.current == OTHER
        writes = stage.store.writes()
        await whole.remove(stage.runtime, None)
        assert stage.store.writes() == writes

    run(main)


def test_a_whole_write_without_metadata_compares_with_what_was_read() -> None:
    """Otherwise another writer's change would be lost."""

    async def main(stage: Stage) -> None:
        stage.store.denied.add("GET metadata/")
        stage.store.before = lambda secret: secret.versions.append({**OTHER, "other": "newer"})
        await put(stage)
        assert stage.store.secret.current == {**OTHER, "other": "newer", "token": PLANTED}

    run(main, update="whole")


def test_a_removal_says_which_versions_still_hold_the_value() -> None:
    """They are not destroyed: they may hold the values of others."""

    async def main(stage: Stage) -> None:
        for number in range(3):
            await put(stage, f"planted-fake-{number}", generation=number)
        gone = await stage.sink.remove(stage.runtime, None)
        assert (gone.version, gone.remark) == ("5", "versions 1-4 still hold earlier values")
        assert stage.store.secret.current == OTHER
        assert stage.store.secret.custom == {"owner": "somebody else"}
        assert not stage.store.secret.deleted

    run(main)


def test_a_secret_of_ours_alone_loses_its_older_versions() -> None:
    """Also those that others have only deleted."""

    async def main(stage: Stage) -> None:
        stage.store.secret.versions.clear()
        for number in range(3):
            await put(stage, f"planted-fake-{number}", generation=number)
        stage.store.secret.delete()
        gone = await stage.sink.remove(stage.runtime, None)
        assert gone.remark is None
        assert stage.store.secret.versions == [None, None, None]
        assert stage.store.secret.deleted == {}

    run(main, exclusive=True)


def test_exclusive_is_checked() -> None:
    """A secret with another key keeps its versions, and the status says why."""

    async def main(stage: Stage) -> None:
        await put(stage)
        gone = await stage.sink.remove(stage.runtime, None)
        assert gone.remark == (
            "versions 1-2 still hold earlier values; none is destroyed, since the secret holds other keys"
        )
        assert stage.store.secret.current == OTHER

    run(main, exclusive=True)


def test_nothing_is_removed_where_nothing_ever_was() -> None:
    """One request."""

    async def main(stage: Stage) -> None:
        stage.store.secret.versions.clear()
        assert (await stage.sink.remove(stage.runtime, None)).version is None
        assert sent(stage) == ["GET metadata/"]

    run(main)


def test_a_404_that_is_not_the_stores_makes_no_secret() -> None:
    """A secret that exists by its metadata is never replaced, whatever a proxy says about it."""

    async def main(stage: Stage) -> None:
        stage.store.server.play(FAULTS["status 404"], after=1)
        with pytest.raises(SinkError):
            await put(stage)
        stage.store.server.play(None)
        stage.store.before = lambda secret: secret.delete()
        with pytest.raises(SinkError, match="deleted meanwhile"):
            await put(stage)
        assert "POST data/" not in sent(stage)

    run(main)


class OfVersion1(PlayedVault):
    """An engine of version 1 where version 2 is configured: every path is a secret of its own."""

    def in_mount(self, method: str, *_: Any) -> Answer:
        return Answer(204) if method == "POST" else Answer(404, {"errors": []})


def test_an_engine_of_version_1_is_recognised() -> None:
    """By its answer to a write; the message says where the values stand now."""

    async def main(stage: Stage) -> None:
        with pytest.raises(SinkError, match="kv_version = 1, and delete data/app"):
            await put(stage)

    run(main, Row(VaultSink, OfVersion1))
