"""Kind ``kubernetes``: server-side apply, its conflicts, and what the status says."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.sinks.leases import PLANTED
from tests.sinks.played_server import FAULTS
from tests.sinks.played_store import Stage, content_of, put
from tests.sinks.stores.another_daemon import another_daemon
from tests.sinks.stores.kubes import run, sent
from tests.sinks.stores.played_kubernetes import encoded
from tokend.plugin.sink import Content
from tokend.sinks.stores.kubernetes import BLIND
from tokend.values.errors import (
    NewerGenerationError,
    SinkConflictError,
    SinkError,
    SinkFinalError,
    SinkRejectedError,
)
from tokend.values.secret import Secret

APPLIED = "PATCH fieldManager=tokend.token"


def test_our_key_is_applied_on_top_of_what_was_read() -> None:
    """Base64 in ``data``, two annotations, the version that was read; nothing else, and no force."""

    async def main(stage: Stage) -> None:
        mark = await put(stage)
        assert sent(stage) == ["GET", APPLIED]
        assert (mark.version, mark.remark) == (str(stage.store.version), None)
        body = stage.store.server.requests[1].json
        assert body["data"] == {"token": encoded(PLANTED)}
        assert body["metadata"] == {
            "name": "app", "namespace": "team", "resourceVersion": "41",
            "annotations": {"tokend/writer.token": stage.runtime.writer, "tokend/generation.token": "7"},
        }  # fmt: skip
        assert body.keys() == {"apiVersion", "kind", "metadata", "data"}
        assert stage.store.others() == {("data", "other"): encoded("somebody else's"), ("type",): "Opaque"}

    run(main)


def test_a_missing_secret_is_made() -> None:
    """Without a version; inside a role without ``create`` the verb is named."""

    async def main(stage: Stage) -> None:
        stage.store.secret = None
        stage.store.verbs = {"get", "patch"}
        with pytest.raises(SinkRejectedError, match="lacks the verb create"):
            await put(stage)
        stage.store.verbs.add("create")
        await put(stage)
        assert stage.store.held() == PLANTED
        assert stage.store.shown()["type"] == "Opaque"

    run(main)


def test_the_type_of_a_secret_stays() -> None:
    """It is not applied."""

    async def main(stage: Stage) -> None:
        stage.store.edit("kubectl-edit", {("type",): "example.com/own"})
        await put(stage)
        assert stage.store.shown()["type"] == "example.com/own"

    run(main)


def test_a_key_of_another_manager_is_a_conflict_that_names_it() -> None:
    """Nothing is written until an admin decides for one write, or the settings for all."""

    async def main(stage: Stage) -> None:
        await put(stage)
        stage.store.overwrite("planted-fake-other")
        made = await content_of(stage, "planted-fake-second", generation=8)
        with pytest.raises(SinkConflictError, match="kubectl-edit owns what this sink writes"):
            await stage.sink.put(stage.runtime, made, None)
        assert stage.store.held() == "planted-fake-other"
        takes = type(stage.sink).model_validate({**dict(stage.sink), "take_over": True})
        await takes.put(stage.runtime, made, None)
        assert sent(stage)[-1] == f"{APPLIED}&force=true"
        assert stage.store.held() == "planted-fake-second"
        await stage.sink.put(stage.runtime, await content_of(stage, generation=9), None)
        assert stage.store.held() == PLANTED

    run(main)


def test_another_daemon_is_a_conflict_until_its_admin_decides() -> None:
    """It has the same manager, since that depends on the target alone; the annotation tells them apart."""

    async def main(stage: Stage) -> None:
        await put(stage)
        made = await content_of(stage, "planted-fake-other", generation=1)
        with pytest.raises(SinkConflictError, match=r"another tokend \(ffffffff\)|another tokend"):
            await stage.sink.put(another_daemon(stage), made, None)
        with pytest.raises(SinkConflictError):
            await stage.sink.remove(another_daemon(stage), None)
        await stage.sink.put(another_daemon(stage, decided=True), made, None)
        assert stage.store.held() == "planted-fake-other"
        with pytest.raises(SinkConflictError, match=r"another tokend \(ffffffff\)"):
            await put(stage)

    run(main)


def test_an_older_daemon_does_not_write_over_a_newer_one() -> None:
    """Also where the newer one came between reading and writing: the version is another then."""

    async def main(stage: Stage) -> None:
        await stage.sink.put(stage.runtime, await content_of(stage, generation=9), None)
        with pytest.raises(NewerGenerationError) as newer:
            await stage.sink.put(stage.runtime, await content_of(stage, "planted-fake-old", generation=8), None)
        assert newer.value.generation == 9
        annotation = ("metadata", "annotations", "tokend/generation.token")
        stage.store.before = lambda: stage.store.edit("kubectl-edit", {annotation: "11"})
        with pytest.raises(NewerGenerationError):
            await stage.sink.put(stage.runtime, await content_of(stage, generation=10), None)
        assert sent(stage)[-3:] == ["GET", APPLIED, "GET"]

    run(main)


def test_a_change_between_reading_and_writing_is_read_again_once() -> None:
    """Others' changes of other keys do no harm; a Secret that changes all the time ends the attempt."""

    async def main(stage: Stage) -> None:
        def other() -> None:
            stage.store.edit("kubectl-edit", {("data", "other"): encoded(f"newer {stage.store.version}")})

        stage.store.before = other
        await put(stage)
        assert sent(stage) == ["GET", APPLIED, "GET", APPLIED]

        def again() -> None:
            other()
            stage.store.before = again

        stage.store.before = again
        for call in (put(stage), stage.sink.remove(stage.runtime, None)):
            with pytest.raises(SinkError, match="twice") as refused:
                await call
            assert type(refused.value) is SinkError

    run(main)


def test_a_removal_takes_our_keys_and_leaves_the_secret() -> None:
    """Applied without the key and the annotations; nothing is sent where nothing is."""

    async def main(stage: Stage) -> None:
        before = dict(stage.store.secret.fields)
        await put(stage)
        gone = await stage.sink.remove(stage.runtime, None)
        assert (gone.digest, gone.remark) == (None, None)
        assert stage.store.secret.fields == before
        stage.store.secret = None
        asked = stage.store.asked
        assert (await stage.sink.remove(stage.runtime, None)).version is None
        assert stage.store.asked == asked + 1
        assert stage.store.secret is None

    run(main)


def test_a_value_that_another_manager_owns_as_well_is_not_gone() -> None:
    """Somebody applied the same value: the server keeps it, and the sink says so."""

    async def main(stage: Stage) -> None:
        await put(stage)
        stage.store.secret.apply("argocd", {("data", "token"): encoded(PLANTED)}, force=False)
        with pytest.raises(SinkConflictError, match="as well"):
            await stage.sink.remove(stage.runtime, None)
        assert stage.store.held() == PLANTED

    run(main)


def test_keys_that_the_settings_no_longer_have_are_taken_away() -> None:
    """The manager is the same: the server removes what it no longer applies."""

    async def main(stage: Stage) -> None:
        await put(stage)
        assert stage.store.held() == {"JWT": PLANTED, "USER": "tt"}
        fewer = type(stage.sink).model_validate({**dict(stage.sink), "values": {"JWT": "{{ access_token }}"}})
        await fewer.put(stage.runtime, await fewer.content(stage.runtime, _lease(), {}), None)
        assert stage.store.held() == {"JWT": PLANTED}
        assert not [path for path in stage.store.secret.fields if "USER" in path[-1]]

    run(main, key=None, values={"JWT": "{{ access_token }}", "USER": "{{ name }}"})


def _lease() -> Any:
    from tests.sinks.leases import PLANTED, lease

    return lease(PLANTED)


def test_a_role_without_get_is_blind() -> None:
    """No version, no generation, no drift; the status says so. A refused write names the verb."""

    async def main(stage: Stage) -> None:
        stage.store.verbs = {"patch", "create"}
        assert await stage.sink.inspect(stage.runtime) is None
        mark = await put(stage)
        assert mark.remark == BLIND
        assert "resourceVersion" not in stage.store.server.requests[-1].json["metadata"]
        gone = await stage.sink.remove(stage.runtime, mark)
        assert (gone.digest, gone.remark) == (None, BLIND)
        stage.store.verbs = {"get"}
        for call in (put(stage), stage.sink.remove(stage.runtime, None)):
            with pytest.raises(SinkRejectedError, match="lacks the verb patch"):
                await call

    run(main)


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda store: setattr(store, "immutable", True), "the Secret is immutable"),
        (lambda store: store.edit("kubectl-edit", {("data", "other"): encoded("x" * 1024 * 1024)}), "does not take"),
    ],
)
def test_what_the_server_never_takes_is_final(prepare: Callable[[Any], None], said: str) -> None:
    """Immutable, or more than 1 MiB with the others' values."""

    async def main(stage: Stage) -> None:
        prepare(stage.store)
        before = stage.store.others()
        with pytest.raises(SinkFinalError, match=said):
            await put(stage)
        assert stage.store.others() == before

    run(main)


def test_values_above_a_mebibyte_are_not_sent() -> None:
    """No server takes them."""

    async def main(stage: Stage) -> None:
        with pytest.raises(SinkFinalError, match="1048577 bytes"):
            await stage.sink.put(stage.runtime, Content(Secret("x" * 1048577), 7, None), None)
        assert stage.store.asked == 0

    run(main)


def test_a_missing_namespace_is_named() -> None:
    """The Secret is absent for the server, and cannot be made."""

    async def main(stage: Stage) -> None:
        with pytest.raises(SinkError, match="there is no such namespace"):
            await put(stage)

    run(main, namespace="elsewhere")


def test_a_proxys_404_is_not_an_absent_secret() -> None:
    """The mark would say that our value is gone."""

    async def main(stage: Stage) -> None:
        stage.store.server.play(FAULTS["status 404"])
        with pytest.raises(SinkError):
            await stage.sink.inspect(stage.runtime)

    run(main)


def test_bytes_that_are_no_text_are_compared_as_bytes() -> None:
    """Another program may have written anything."""

    async def main(stage: Stage) -> None:
        stage.store.edit("kubectl-edit", {("data", "token"): "/w=="})
        found = await stage.sink.inspect(stage.runtime)
        assert found.digest == stage.runtime.mark(Secret(b"\xff")).digest
        assert json.dumps(stage.store.shown())

    run(main)
