"""A secret of AWS: ids of versions, lost answers, keys of others, removal, quota, and what a credential may not do."""

import json
import uuid
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from tests.sinks.leases import PLANTED, lease
from tests.sinks.played_store import Row, Stage, put, run
from tests.sinks.stores.played_aws import PlayedSecretsManager, PlayedSecretsManagerObject
from tokend.sinks.stores.aws_secretsmanager import AwsSecretsManagerSink
from tokend.values.errors import SinkError, SinkFinalError, SinkRejectedError

WHOLE = Row(AwsSecretsManagerSink, PlayedSecretsManager, {"secret_id": "app"})
KEYS = Row(
    AwsSecretsManagerSink,
    PlayedSecretsManagerObject,
    {"secret_id": "app", "values": {"A": "{{ access_token }}", "B": "Bearer {{ access_token }}"}},
)


async def refused(stage: Stage, error: type[SinkError], call: Awaitable[Any]) -> str:
    """The sentence of a refusal; it holds no secret."""
    with pytest.raises(error) as caught:
        await call
    assert PLANTED not in caught.value.detail
    return caught.value.detail


def test_the_id_of_a_version_is_that_of_the_write() -> None:
    """A UUID of the runtime's id of the write: a repeated request makes no second version."""

    async def main(stage: Stage) -> None:
        content = await stage.sink.content(stage.runtime, lease(), {})
        wanted = str(uuid.UUID(stage.runtime.write_id(content.values)))
        mark = await stage.sink.put(stage.runtime, content, stage.runtime.mark(None))
        [asked] = stage.store.server.requests
        assert asked.json == {
            "SecretId": "app",
            "ClientRequestToken": wanted,
            "SecretString": PLANTED,
            "VersionStages": ["AWSCURRENT"],
        }
        assert (mark.version, stage.store.operations) == (wanted, ["PutSecretValue"])

    run(WHOLE, main)


def test_a_lost_answer_is_found_by_its_id_without_reading_the_secret() -> None:
    """A credential that may not read it: DescribeSecret shows that the current version is ours."""

    async def main(stage: Stage) -> None:
        stage.store.denied = {"GetSecretValue"}
        assert await stage.sink.inspect(stage.runtime) is None
        first = await put(stage)
        stage.store.operations.clear()
        assert await put(stage) == first
        assert stage.store.operations == ["DescribeSecret"]
        assert stage.store.writes() == 1

    run(WHOLE, main)


def test_a_version_of_ours_that_another_writer_has_replaced_is_written_anew() -> None:
    """The service ignores an id that it knows: the token would never become current again."""

    async def main(stage: Stage) -> None:
        await put(stage)
        for is_known in (False, True):
            stage.store.overwrite("somebody else's")
            mark = await put(stage, known=await stage.sink.inspect(stage.runtime) if is_known else None)
            assert stage.store.text() == PLANTED
            assert stage.store.labels["AWSCURRENT"] == mark.version
        versions = stage.store.writes()
        # The answer to that one was lost, too.
        await put(stage)
        assert stage.store.writes() == versions

    run(WHOLE, main)


def test_without_describe_a_write_goes_on_and_the_status_says_so() -> None:
    """Nothing is guessed about a lost answer: the same id is sent again."""

    async def main(stage: Stage) -> None:
        stage.store.denied = {"DescribeSecret", "GetSecretValue"}
        for _ in range(2):
            assert str((await put(stage)).remark).startswith("blind: DescribeSecret is not allowed")
        assert stage.store.writes() == 1
        assert (await put(stage, known=await stage.sink.remove(stage.runtime, stage.runtime.mark(None)))).remark is None

    run(WHOLE, main)


def test_a_secret_that_does_not_exist_is_not_made() -> None:
    """The message says how to make it, for a removal it is nothing."""

    async def main(stage: Stage) -> None:
        stage.store.exists = False
        for call in (put(stage), put(stage, known=stage.runtime.mark(None))):
            said = await refused(stage, SinkError, call)
            assert "does not exist, or not in eu-west-1" in said
            assert "create-secret" in said
        assert (await stage.sink.remove(stage.runtime, None)).digest is None

    run(WHOLE, main)
    run(KEYS, main)


def test_a_removal_leaves_an_empty_object_and_says_what_still_holds_the_token() -> None:
    """The service takes no empty value, and keeps the version before."""

    async def main(stage: Stage) -> None:
        gone = await stage.sink.remove(stage.runtime, await put(stage))
        assert stage.store.text() == "{}"
        assert (gone.digest, "AWSPREVIOUS" in str(gone.remark)) == (None, True)
        assert (await stage.sink.inspect(stage.runtime)).digest is None

    run(WHOLE, main)


def test_another_writer_of_the_object_is_never_overwritten() -> None:
    """A version that came between reading and writing makes the move of the label fail; then it is read again."""

    async def main(stage: Stage) -> None:
        update = stage.store.UpdateSecretVersionStage

        def hurried(asked: Any) -> Any:
            stage.store.UpdateSecretVersionStage = update
            stage.store.put(str(uuid.uuid4()), json.dumps({"theirs": "new"}), ["AWSCURRENT"])
            return update(asked)

        stage.store.UpdateSecretVersionStage = hurried
        assert "another writer" in await refused(stage, SinkError, put(stage))
        assert stage.store.text() == '{"theirs": "new"}'
        await put(stage)
        assert json.loads(stage.store.text()) == {"theirs": "new", "A": PLANTED, "B": f"Bearer {PLANTED}"}

    run(KEYS, main)


def test_equal_keys_are_not_written_again() -> None:
    """One version in a hundred calls."""

    async def main(stage: Stage) -> None:
        await put(stage)
        versions = stage.store.writes()
        for _ in range(3):
            await put(stage)
        assert stage.store.writes() == versions

    run(KEYS, main)


@pytest.mark.parametrize("text", ["planted", "[]", '{"a": 1, "a": 2}', '{"rate": 1.10}', '{"rate": 1e400}'])
def test_an_object_that_could_not_be_written_back_as_it_is_stays(text: str) -> None:
    """No JSON object, a key twice, a number that would look another: refused, and nothing is written."""

    async def main(stage: Stage) -> None:
        stage.store.put(str(uuid.uuid4()), text, ["AWSCURRENT"])
        said = await refused(stage, SinkError, put(stage))
        assert "the secret holds " in said
        assert "planted" not in said
        assert stage.store.text() == text

    run(KEYS, main)


def test_a_binary_secret_is_no_object() -> None:
    """It has a version and no text."""

    async def main(stage: Stage) -> None:
        get = stage.store.GetSecretValue

        def binary(asked: Any) -> Any:
            answer = get(asked)
            answer.body["SecretBinary"] = answer.body.pop("SecretString")
            return answer

        stage.store.GetSecretValue = binary
        assert "holds no JSON object" in await refused(stage, SinkError, put(stage))

    run(KEYS, main)


def test_keys_of_an_object_need_permissions_that_are_named() -> None:
    """Reading, and moving the label."""

    async def main(stage: Stage) -> None:
        for operation in ("GetSecretValue", "UpdateSecretVersionStage", "PutSecretValue"):
            stage.store.denied = {operation}
            said = await refused(stage, SinkRejectedError, put(stage))
            assert f"needs the permission secretsmanager:{operation}" in said

    run(KEYS, main)


def test_a_text_that_is_too_large_is_final() -> None:
    """The service's limit is 65,536 bytes."""

    async def main(stage: Stage) -> None:
        said = await refused(stage, SinkFinalError, put(stage, "x" * 65537, stage.runtime.mark(None)))
        assert "the text has 65537 bytes, a secret takes 65536" in said
        assert stage.store.asked == 0

    run(WHOLE, main)


def sink(**keys: Any) -> AwsSecretsManagerSink:
    table = {"kind": "aws-secretsmanager", "region": "eu-west-1", "secret_id": "app", "access_key_id": "AKIAFAKE",
             "secret_access_key": "planted-fake", **keys}  # fmt: skip
    return AwsSecretsManagerSink.model_validate(table)


def test_sinks_share_a_secret_by_keys_only() -> None:
    """The whole text excludes every key of it."""
    one, other, whole = sink(values={"A": "a", "B": "b"}), sink(values={"C": "c"}), sink()
    assert one.target == "aws-secretsmanager:eu-west-1:app#A,B"
    assert not one.exclusive_targets() & other.exclusive_targets()
    assert whole.exclusive_targets() == {"aws-secretsmanager:eu-west-1:app"}
    assert sink(region="us-east-1").target != whole.target


@pytest.mark.parametrize(
    ("life", "interval", "warned"),
    [
        (300.0, None, True),
        (1200.0, None, False),
        (300.0, timedelta(minutes=15), False),
        (1.0, timedelta(minutes=5), True),
    ],
)
def test_a_life_that_fills_the_quota_of_versions_is_a_warning(
    life: float, interval: timedelta | None, warned: bool
) -> None:
    """About a hundred writes a day; min_interval makes them fewer."""
    said = sink(min_interval=interval).quota_warning(life)
    assert (said is not None) == warned
    assert said is None or "a min_interval of at least 15m" in said
