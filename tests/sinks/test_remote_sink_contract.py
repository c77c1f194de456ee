"""Every kind of remote sink passes the same tests, against a store that answers as the real one and then misbehaves.

A new kind adds its store in ``tests/sinks/stores/played_KIND.py`` (`played_store.PlayedStore`) and a `Row` in `KINDS`.
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.publishing_sinks import StoreSink
from tests.sinks.leases import PLANTED
from tests.sinks.played_server import FAULTS, Fault
from tests.sinks.played_store import Held, Row, Stage, content_of, run, runtime_of
from tests.sinks.stores.played_aws import PlayedSecretsManager, PlayedSecretsManagerObject, PlayedSsm
from tests.sinks.stores.played_github import PlayedGithub, PlayedOrganization
from tests.sinks.stores.played_http import PlayedHttp
from tests.sinks.stores.played_keyring import PlayedKeyring
from tests.sinks.stores.played_kubernetes import PlayedKubernetes
from tests.sinks.stores.played_nats import PlayedNats
from tests.sinks.stores.played_plain import PlayedPlain
from tests.sinks.stores.played_railway import PLACE, SHARED, PlayedRailway
from tests.sinks.stores.played_redis import PlayedRedis, PlayedRedisHash
from tests.sinks.stores.played_vault import PlayedVault, PlayedVaultOfVersion1
from tests.sinks.test_sink_contract import SECOND, said
from tokend.kinds import SINKS
from tokend.plugin.remote_sink import RemoteSinkSettings
from tokend.plugin.sink import Content, Mark, RemoteSink
from tokend.sinks.stores.aws_secretsmanager import AwsSecretsManagerSink
from tokend.sinks.stores.aws_ssm import AwsSsmSink
from tokend.sinks.stores.github_actions import GithubActionsSink
from tokend.sinks.stores.http import HttpSink
from tokend.sinks.stores.keyring import KeyringSink
from tokend.sinks.stores.kubernetes import KubernetesSink
from tokend.sinks.stores.nats import NatsSink
from tokend.sinks.stores.railway import RailwaySink
from tokend.sinks.stores.redis import RedisSink
from tokend.sinks.stores.vault import VaultSink
from tokend.values.errors import SinkError, SinkRejectedError, SinkUnavailableError
from tokend.values.secret import Secret

ROOT = Path(__file__).parents[2]

# The sink of the engine's tests knows no errors of HTTP, and has no row in the table of faults.
PLAIN: Any = {"shows_writes": False, "over_http": False, "except_for": {"refused": SinkError}}

# A refusal of the metadata alone is no error, and none of a read: its policy may be narrow.
OF_VAULT: Any = {"put status 403": Exception, "remove status 403": Exception, "inspect status 403": Exception}
VALUES = {"values": {"JWT": "{{ access_token }}", "USER": "{{ name }}"}}

# A refusal to read is no error; what another manager has changed is taken back only where the settings say so.
OF_KUBERNETES: Any = {"put status 403": Exception, "remove status 403": Exception, "inspect status 403": Exception}
TAKING: Any = {"key": "token", "take_over": True}
OF_GITHUB = {"secret_name": "JWT_TOKEN"}

KINDS: dict[str, Row] = {
    "store": Row(StoreSink, PlayedPlain, {"key": "app"}, **PLAIN),
    "store of several": Row(StoreSink, PlayedPlain, {"key": "app", "tokens": ("b",)}, **PLAIN),
    "railway": Row(RailwaySink, PlayedRailway, PLACE, requests=(1, 2, 1)),
    "railway, shared": Row(RailwaySink, PlayedRailway, SHARED, requests=(1, 2, 1), over_http=False),
    "github-actions": Row(GithubActionsSink, PlayedGithub, OF_GITHUB, (2, 2, 1), reads_back=False, shows_writes=False),
    # A false 404 says that there is no secret, and who sees a new one is for tokend to say.
    "github-actions, organization": Row(
        GithubActionsSink,
        PlayedOrganization,
        OF_GITHUB,
        (3, 2, 1),
        reads_back=False,
        shows_writes=False,
        without=frozenset({"status 404"}),
    ),
    "http": Row(HttpSink, PlayedHttp),
    "aws-ssm": Row(AwsSsmSink, PlayedSsm, {"parameter": "/app/token"}),
    "aws-secretsmanager": Row(AwsSecretsManagerSink, PlayedSecretsManager, {"secret_id": "app"}, (2, 1, 1)),
    "aws-secretsmanager, keys of an object": Row(
        AwsSecretsManagerSink,
        PlayedSecretsManagerObject,
        {"secret_id": "app", "values": {"A": "{{ access_token }}", "B": "Bearer {{ access_token }}"}},
        (3, 3, 1),
    ),
    "vault": Row(VaultSink, PlayedVault, requests=(3, 3, 1), except_for=OF_VAULT),
    "vault, several": Row(VaultSink, PlayedVault, VALUES, (3, 3, 1), over_http=False),
    "kubernetes": Row(KubernetesSink, PlayedKubernetes, TAKING, (2, 2, 1), except_for=OF_KUBERNETES),
    "kubernetes, several": Row(
        KubernetesSink, PlayedKubernetes, {**VALUES, "take_over": True}, (2, 2, 1), over_http=False
    ),
    "vault, whole": Row(VaultSink, PlayedVault, {"update": "whole"}, (4, 4, 1), except_for=OF_VAULT),
    "vault, version 1": Row(
        VaultSink,
        PlayedVaultOfVersion1,
        {"kv_version": 1, "update": "whole", "mount": "kv1"},
        (2, 2, 1),
        except_for=OF_VAULT,
        without=frozenset({"body: other wrong types"}),
    ),
    "keyring": Row(KeyringSink, PlayedKeyring, over_http=False, except_for={"refused": SinkError}),
    "nats": Row(NatsSink, PlayedNats, {"bucket": "app", "key": "token"}, (2, 2, 1), over_http=False),
    "redis": Row(RedisSink, PlayedRedis, {"key": "app"}, over_http=False),
    "redis, a field": Row(RedisSink, PlayedRedisHash, {"key": "app", "field": "token"}, over_http=False),
}

OPERATIONS = ("put", "remove", "inspect")
# The limit of a sink whose store hangs: its host answers within a millisecond when it answers.
SHORT = timedelta(milliseconds=400)
OVER_HTTP = {name: row for name, row in KINDS.items() if row.over_http}


@pytest.fixture(params=KINDS)
def row(request: pytest.FixtureRequest) -> Row:
    """Each kind."""
    return KINDS[request.param]


def clear(content: Content) -> Held:
    """The content as the store must hold it."""
    values = content.values
    if isinstance(values, Secret):
        return values.reveal()
    return {key: one.reveal() for key, one in values.items()}


async def calling(stage: Stage, operation: str, content: Content, known: Mark | None) -> Mark | None:
    """Make one call."""
    mark: Mark | None
    if operation == "put":
        mark = await stage.sink.put(stage.runtime, content, known)
    elif operation == "remove":
        mark = await stage.sink.remove(stage.runtime, known)
    else:
        mark = await stage.sink.inspect(stage.runtime)
    return mark


async def brought(stage: Stage, content: Content) -> Mark:
    """Bring the store to the content as the engine does that knows nothing: read first, write what differs."""
    known: Mark | None = await stage.sink.inspect(stage.runtime)
    if known is not None and known.digest == stage.runtime.mark(content.values).digest:
        return known
    made: Mark = await stage.sink.put(stage.runtime, content, known)
    return made


def require_quiet(stage: Stage, *shown: object) -> None:
    """Nothing of it shows a secret."""
    for secret in (PLANTED, SECOND, "planted-fake-other", stage.store.credential):
        assert secret not in repr(shown) + str(shown) + "".join(
            said(one) for one in shown if isinstance(one, Exception)
        )


def require_operators_sentence(stage: Stage, error: SinkError) -> None:
    """It names the target, is one line, and quotes neither a secret nor the store."""
    assert error.detail.startswith(f"{stage.sink.target}: ")
    assert error.detail.isprintable()
    assert "second line" not in error.detail
    require_quiet(stage, error)


# ------------------------------------------------------------------ a store that answers


def test_every_kind_is_in_the_suite() -> None:
    """A kind that is added to the table must be added here."""
    remote = {model for model in SINKS.all().values() if model.family == "remote"}
    assert remote <= {one.model for one in KINDS.values()}
    assert all(issubclass(one.model, RemoteSinkSettings) for one in KINDS.values())


def test_the_page_says_the_same(row: Row) -> None:
    """docs/stores.md: what is read back, and how many requests a write takes."""
    kind = row.model.model_fields["kind"].get_default()
    if kind == "store":
        pytest.skip("a kind of the tests")
    [found] = re.findall(rf"^\| \[?`{kind}`.*$", (ROOT / "docs/stores.md").read_text(), re.MULTILINE)
    cells = [one.strip() for one in found.strip("|").split("|")]
    assert (cells[1] == "yes") == row.reads_back
    assert (cells[2].startswith("yes")) == (row.model.compares is True)
    assert row.requests[0] in {int(number) for number in re.findall(r"\d+", cells[6])}


def test_a_sink_is_what_the_engine_expects(row: Row) -> None:
    """`plugin.sink.RemoteSink`; the target is a string that names no file."""

    async def main(stage: Stage) -> None:
        sink = stage.sink
        assert {"put", "remove", "inspect", "content"} <= set(vars(RemoteSink))
        assert all(callable(getattr(sink, name)) for name in ("put", "remove", "inspect", "content"))
        assert (sink.family, sink.file_path) == ("remote", None)
        assert sink.exclusive_targets()
        assert sink.timeout.total_seconds() == 30
        assert "?" not in sink.target
        assert "@" not in sink.target
        require_quiet(stage, sink, sink.target)

    run(row, main)


def test_what_is_put_is_there_and_inspect_finds_it(row: Row) -> None:
    """Equal digests for equal values; another value has another digest. A store that cannot be read says nothing."""

    async def main(stage: Stage) -> None:
        before, content = stage.store.others(), await content_of(stage)
        empty = await stage.sink.inspect(stage.runtime)
        # A store that cannot be read may still say that there is nothing.
        assert (empty is None and not row.reads_back) or empty.digest is None
        first = await stage.sink.put(stage.runtime, content, empty)
        assert stage.store.held() == clear(content)
        assert first.digest == stage.runtime.mark(content.values).digest
        found = await stage.sink.inspect(stage.runtime)
        assert not row.reads_back or (found.digest, found.version) == (first.digest, first.version)
        content = await content_of(stage, SECOND)
        second = await stage.sink.put(stage.runtime, content, first)
        assert stage.store.held() == clear(content)
        assert second.digest != first.digest
        assert stage.store.others() == before
        require_quiet(stage, first, second, content)

    run(row, main)


def test_what_is_removed_is_gone_and_nothing_else(row: Row) -> None:
    """A mark without a digest; to remove what is not there is no error, whether that was known or not."""

    async def main(stage: Stage) -> None:
        before = stage.store.others()
        known = await stage.sink.put(stage.runtime, await content_of(stage), await stage.sink.inspect(stage.runtime))
        for last in (known, None):
            gone = await stage.sink.remove(stage.runtime, last)
            assert gone.digest is None
            assert stage.store.held() is None
        assert stage.store.others() == before
        content = await content_of(stage, SECOND)
        await stage.sink.put(stage.runtime, content, gone)
        assert stage.store.held() == clear(content)
        assert stage.store.others() == before

    run(row, main)


def test_a_call_takes_as_many_requests_as_the_row_says(row: Row) -> None:
    """One attempt: no retry, no needless request; the most that is said does happen."""

    async def main(stage: Stage) -> None:
        most = dict.fromkeys(OPERATIONS, 0)

        async def counted(operation: str, content: Content, known: Mark | None) -> Mark | None:
            before = stage.store.asked
            mark = await calling(stage, operation, content, known)
            most[operation] = max(most[operation], stage.store.asked - before)
            return mark

        content = await content_of(stage)
        mark = await counted("put", content, await counted("inspect", content, None))
        await counted("inspect", content, None)
        mark = await counted("put", await content_of(stage, SECOND), mark)
        mark = await counted("put", content, mark if row.model.compares is True else None)
        await counted("remove", content, mark)
        await counted("remove", content, None)
        assert tuple(most.values()) == row.requests

    run(row, main)


def test_the_requests_of_one_write_use_one_connection(row: Row) -> None:
    """Inspect, put, remove, as the engine makes them: a handshake each would be most of the time of a write."""
    if not row.over_http:
        pytest.skip("its own tests count connections")

    async def main(stage: Stage) -> None:
        content, before = await content_of(stage), stage.store.server.connections
        async with stage.runtime.connected():
            mark = await stage.sink.put(stage.runtime, content, await stage.sink.inspect(stage.runtime))
            await stage.sink.remove(stage.runtime, mark)
        assert stage.store.server.connections - before <= 1

    run(row, main)


def test_what_another_writer_changed_is_seen_and_put_right(row: Row) -> None:
    """Drift has another digest; the others' keys stay through the repair."""

    async def main(stage: Stage) -> None:
        content = await content_of(stage)
        mark = await stage.sink.put(stage.runtime, content, await stage.sink.inspect(stage.runtime))
        stage.store.overwrite("planted-fake-of-another-writer")
        before = stage.store.others()
        found = await stage.sink.inspect(stage.runtime)
        if row.reads_back:
            assert found.digest not in {mark.digest, None}
        with_found = found if row.reads_back else mark
        await stage.sink.put(stage.runtime, content, with_found)
        assert stage.store.held() == clear(content)
        assert stage.store.others() == before

    run(row, main)


def test_what_another_writer_deleted_is_written_again(row: Row) -> None:
    """`inspect` finds nothing of ours; the next write makes it again, or says that the state was another."""

    async def main(stage: Stage) -> None:
        content = await content_of(stage)
        mark = await stage.sink.put(stage.runtime, content, await stage.sink.inspect(stage.runtime))
        stage.store.delete()
        before = stage.store.others()
        try:
            await stage.sink.put(stage.runtime, content, mark)
        except SinkError as error:
            require_operators_sentence(stage, error)
            await brought(stage, content)
        assert stage.store.held() == clear(content)
        stage.store.delete()
        if row.reads_back:
            assert (await stage.sink.inspect(stage.runtime)).digest is None
        assert (await stage.sink.remove(stage.runtime, None)).digest is None
        assert stage.store.others() == before

    run(row, main)


def test_a_credential_that_is_refused_and_then_accepted(row: Row) -> None:
    """A refusal of its own class, whatever is asked; afterwards the same sink goes on."""

    async def main(stage: Stage) -> None:
        content = await content_of(stage)
        mark = await stage.sink.put(stage.runtime, content, await stage.sink.inspect(stage.runtime))
        stage.store.refusing = True
        for operation in OPERATIONS:
            if operation == "inspect" and row.requests[2] == 0:
                continue
            with pytest.raises(SinkError) as refused:
                await calling(stage, operation, await content_of(stage, SECOND), mark)
            assert isinstance(refused.value, row.except_for.get("refused", SinkRejectedError))
            require_operators_sentence(stage, refused.value)
        assert stage.store.held() == clear(content)
        stage.store.refusing = False
        await brought(stage, await content_of(stage, SECOND))
        assert stage.store.held() == clear(await content_of(stage, SECOND))

    run(row, main)


def test_a_host_that_is_away_is_unavailable(row: Row) -> None:
    """No connection: the whole host pauses."""

    async def main(stage: Stage) -> None:
        content = await content_of(stage)
        stage.store.close()
        for operation in OPERATIONS:
            if operation == "inspect" and row.requests[2] == 0:
                continue
            with pytest.raises(SinkUnavailableError) as away:
                await calling(stage, operation, content, None)
            require_operators_sentence(stage, away.value)

    run(row, main)


# ------------------------------------------------------------------ a store that misbehaves


def error_of(row: Row, operation: str, fault: str) -> type[Exception] | None:
    """The error that the row expects; None if the call may also succeed."""
    for key in (f"{operation} {fault}", fault):
        if key in row.except_for:
            return row.except_for[key]
    return FAULTS[fault].means


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", OVER_HTTP)
def test_a_misbehaving_store_changes_nothing_that_a_later_attempt_does_not_put_right(name: str, fault: str) -> None:
    """At each request of each call: an error of a sink without a secret, or a success that is one; nothing of others.

    Afterwards the store answers again, and the engine's next attempt brings it to the wanted content.
    """
    row = OVER_HTTP[name]
    if fault in row.without:
        pytest.skip("a real store of this kind might answer so")

    async def main(stage: Stage) -> None:
        for operation, most in zip(OPERATIONS, row.requests, strict=True):
            for after in range(most):
                await misbehave(stage, operation, fault, after)

    run(row, main)


async def misbehave(stage: Stage, operation: str, fault: str, after: int) -> None:
    """One call, whose request number ``after`` meets the fault; then the store answers again."""
    sink, store, played = stage.sink, stage.store, FAULTS[fault]
    known: Mark | None = await brought(stage, await content_of(stage))
    before, asked, content = store.others(), store.asked, await content_of(stage, SECOND)
    store.server.play(played, after=after)
    if played.hangs:
        stage.sink = sink.model_copy(update={"timeout": SHORT})
        stage.runtime = runtime_of(stage.sink, stage.runtime)
    try:
        mark = await calling(stage, operation, content, known)
    except SinkError as error:
        met = store.server.fault is None
        expected = error_of(stage.row, operation, fault) or SinkError
        assert isinstance(error, expected if met else SinkError), (operation, after, error.detail)
        require_operators_sentence(stage, error)
        if isinstance(error, SinkUnavailableError) and fault in {"status 429", "status 503"}:
            assert error.retry_after == 7
    else:
        require_true(stage, operation, fault, played, content, mark)
    assert store.asked - asked <= dict(zip(OPERATIONS, stage.row.requests, strict=True))[operation] + 2
    assert not any(one.path.startswith("/elsewhere") for one in store.server.requests)
    assert store.others() == before
    store.server.play(None)
    if played.hangs:
        stage.sink, stage.runtime = sink, runtime_of(sink, stage.runtime)
    await brought(stage, content)
    assert store.held() == clear(content)
    assert store.others() == before


def require_true(stage: Stage, operation: str, fault: str, played: Fault, content: Content, mark: Mark | None) -> None:
    """A call that succeeded has had its effect."""
    if stage.store.server.fault is not None:
        return  # it needed fewer requests this time
    allowed = error_of(stage.row, operation, fault)
    assert allowed in {None, Exception}, f"{operation} took {fault!r} for a success"
    require_quiet(stage, mark)
    if operation == "put" and allowed is None:
        assert stage.store.held() == clear(content), f"{operation} took {fault!r} for a success"
    elif operation == "remove" and fault not in {"status 404", "status 410"}:
        assert stage.store.held() is None, f"{operation} took {fault!r} for a success"


def test_a_lost_answer_makes_no_second_version(row: Row) -> None:
    """The store acted, the answer was lost: the next attempt sees that, where the store can be read."""

    async def main(stage: Stage) -> None:
        content = await content_of(stage)
        known = await stage.sink.inspect(stage.runtime) if row.model.compares is True else None
        before = stage.store.writes()
        stage.store.server.play(FAULTS["answer lost"], after=row.requests[0] - 1)
        with pytest.raises(SinkError):
            await stage.sink.put(stage.runtime, content, known)
        await brought(stage, content)
        assert stage.store.held() == clear(content)
        assert stage.store.writes() - before == (1 if row.shows_writes else 2) or row.requests[0] > 1

    if not row.over_http:
        pytest.skip("its own tests lose answers")
    run(row, main)
