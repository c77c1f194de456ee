"""Kind ``github-actions`` against its API, played: sealed values, the hourly key, rate limits, who sees a secret."""

import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes import literal
from tests.sinks.leases import PLANTED
from tests.sinks.played_server import Answer
from tests.sinks.played_store import CREDENTIAL, Row, Stage, content_of, put, run
from tests.sinks.stores.played_github import NAME, PlayedGithub, PlayedOrganization
from tests.sinks.test_remote_sink_contract import OF_GITHUB
from tests.sinks.test_sink_contract import SECOND, said
from tokend.sinks.stores.github_actions import GithubActionsSink
from tokend.values.errors import SinkError, SinkFinalError, SinkRejectedError, SinkUnavailableError

ROW = Row(GithubActionsSink, PlayedGithub, OF_GITHUB)
OF_ORGANIZATION = Row(GithubActionsSink, PlayedOrganization, OF_GITHUB)
GOOD = {"kind": "github-actions", "repository": "acme/app", "secret_name": NAME, "auth": literal(CREDENTIAL)}


def settings(**keys: Any) -> GithubActionsSink:
    """The sink with these keys."""
    return GithubActionsSink.model_validate({**GOOD, **keys})


def played(main: Callable[[Stage], Awaitable[None]], row: Row = ROW, **keys: Any) -> None:
    """Run with a store and a sink."""
    run(row, main, **keys)


def test_the_value_is_sealed_and_only_its_reader_can_open_it() -> None:
    """What is sent decrypts with the private key; two sealings of one value differ, and their mark does not."""

    async def main(stage: Stage) -> None:
        content = await content_of(stage)
        marks, seals = [], []
        for _ in range(2):
            marks.append(await stage.sink.put(stage.runtime, content, None))
            seals.append(stage.store.sealed[NAME])
            assert stage.store.held() == PLANTED
        assert marks[0] == marks[1]
        assert seals[0] != seals[1]
        assert PLANTED not in str(stage.store.server.requests)

    played(main)


def test_the_key_is_kept_for_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request per write in between."""

    async def main(stage: Stage) -> None:
        for _ in range(3):
            await put(stage)
        assert (stage.store.key_reads, stage.store.asked) == (1, 4)
        now = stage.runtime.clock.instant()
        for seconds, reads in ((3590, 1), (3610, 2)):
            monkeypatch.setattr(stage.runtime._context.clock, "instant", lambda seconds=seconds: now.after(seconds))
            await put(stage)
            assert stage.store.key_reads == reads

    played(main)


def test_a_replaced_key_is_fetched_anew() -> None:
    """A 422 for the old one: one more request for the key, one more for the secret."""

    async def main(stage: Stage) -> None:
        await put(stage)
        stage.store.turn_key()
        before = stage.store.asked
        await put(stage, SECOND)
        assert stage.store.held() == SECOND
        assert stage.store.asked - before == 3
        stage.store.instead = Answer(422, {"message": "no"})
        before = stage.store.asked
        with pytest.raises(SinkError, match="the store answered 422"):
            await put(stage)
        assert stage.store.asked - before == 3

    played(main)


@pytest.mark.parametrize(
    ("status", "headers", "kind", "pause"),
    [
        (403, {}, SinkRejectedError, None),
        (403, {"X-RateLimit-Remaining": "7"}, SinkRejectedError, None),
        (403, {"Retry-After": "60"}, SinkUnavailableError, 60),
        (429, {"Retry-After": "60"}, SinkUnavailableError, 60),
        (403, {"X-RateLimit-Remaining": "0"}, SinkUnavailableError, 5),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "nonsense"}, SinkUnavailableError, 5),
        (
            403,
            {
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "1767226200",
                "Date": "Thu, 01 Jan 2026 00:00:00 GMT",
            },
            SinkUnavailableError,
            600,
        ),
        (
            403,
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999", "Date": "Thu, 01 Jan 2026 00:00:00 GMT"},
            SinkUnavailableError,
            3600,
        ),
        (404, {}, SinkRejectedError, None),
        (401, {}, SinkRejectedError, None),
    ],
)
def test_a_rate_limit_is_no_refusal(status: int, headers: dict[str, str], kind: type[SinkError], pause: Any) -> None:
    """GitHub answers 403 for both; its clock counts for the end of the limit."""

    async def main(stage: Stage) -> None:
        stage.store.instead = Answer(status, {"message": PLANTED}, headers)
        with pytest.raises(SinkError) as refused:
            await put(stage)
        assert type(refused.value) is kind
        assert getattr(refused.value, "retry_after", None) == pause
        assert PLANTED not in said(refused.value)

    played(main)


def test_who_sees_an_organizations_secret_stays_as_it_is() -> None:
    """A new one is private. What a person selected, also in more than one page, is sent again with each write."""

    async def main(stage: Stage) -> None:
        stage.store.selected = list(range(1000, 1250))
        await put(stage)
        assert stage.store.seen_by[NAME] == ("selected", stage.store.selected)
        before = stage.store.asked
        await put(stage, SECOND)
        assert stage.store.seen_by[NAME] == ("selected", stage.store.selected)
        assert stage.store.held() == SECOND
        assert stage.store.asked - before == 5
        for seen_by in ("all", "private"):
            stage.store.seen_by[NAME] = (seen_by, [])
            await put(stage)
            assert stage.store.seen_by[NAME] == (seen_by, [])

    played(main, OF_ORGANIZATION)


def test_a_list_of_repositories_that_is_too_long_changes_nothing() -> None:
    """A write that dropped some of them would be worse than none."""

    async def main(stage: Stage) -> None:
        stage.store.selected = list(range(1000))
        await put(stage)
        with pytest.raises(SinkFinalError, match="more than 1000 selected repositories"):
            await put(stage, SECOND)
        assert stage.store.held() == PLANTED

    played(main, OF_ORGANIZATION)


def test_an_environment_has_a_path_and_a_key_of_its_own() -> None:
    """Its name may hold anything, and is encoded."""

    class PlayedEnvironment(PlayedGithub):
        place = "/repos/acme/app/environments/a%2Fb%20%23/secrets"

    async def main(stage: Stage) -> None:
        await put(stage)
        assert stage.store.held() == PLANTED
        assert stage.sink.target == f"github:acme/app/a%2Fb%20%23#{NAME}"

    played(main, Row(GithubActionsSink, PlayedEnvironment, OF_GITHUB), environment="a/b #")


def test_a_hidden_place_is_not_taken_for_a_secret_that_is_gone() -> None:
    """GitHub answers 404 for what a credential may not see: a removal says so instead of succeeding."""

    async def main(stage: Stage) -> None:
        stage.store.place = "/repos/acme/another/actions/secrets"
        with pytest.raises(SinkRejectedError, match="GitHub answered 404"):
            await stage.sink.remove(stage.runtime, None)

    played(main)


@pytest.mark.parametrize("size", [48 * 1024, 48 * 1024 + 1])
def test_more_than_48_kib_are_never_sent(size: int) -> None:
    """An error that only a newer token ends."""

    async def main(stage: Stage) -> None:
        value = "é" * (size // 2) + "x" * (size % 2)
        if size == 48 * 1024:
            await put(stage, value)
            assert stage.store.held() == value
        else:
            with pytest.raises(SinkFinalError, match="more than 48 KiB"):
                await put(stage, value)
            assert stage.store.asked == 0

    played(main)


@pytest.mark.parametrize(
    "key",
    [
        {"key_id": 7, "key": "QUFB"},
        {"key_id": "k", "key": "AAAA"},
        {"key_id": "k", "key": "?"},
        {"key_id": "k"},
        {"key_id": "two\nlines", "key": "A" * 43 + "="},
        {},
    ],
    ids=str,
)
def test_a_key_that_is_none_is_an_error(key: dict[str, Any]) -> None:
    """Nothing is sealed for it."""

    class PlayedWrongKey(PlayedGithub):
        def of_secret(self, asked: Any, name: str) -> Answer:
            return Answer(200, key) if name == "public-key" else super().of_secret(asked, name)

    async def main(stage: Stage) -> None:
        with pytest.raises(SinkError, match="without a usable public key"):
            await put(stage)
        assert stage.store.puts == 0

    played(main, Row(GithubActionsSink, PlayedWrongKey, OF_GITHUB))


@pytest.mark.parametrize(
    "keys",
    [
        {"secret_name": "jwt_token"},
        {"secret_name": "ghp_plantedfake"},
        {"secret_name": "GITHUB_TOKEN"},
        {"secret_name": "1A"},
        {"secret_name": ""},
        {"secret_name": "A-B"},
        {"repository": "acme"},
        {"repository": "acme/.."},
        {"repository": "acme/app/x"},
        {"repository": "acme/a?b"},
        {"organization": "acme"},
        {"repository": None},
        {"repository": None, "organization": "a/b"},
        {"repository": None, "organization": "acme", "environment": "x"},
        {"environment": ""},
        {"environment": "two\nlines"},
        {"base_url": "http://github.example"},
        {"auth": None},
    ],
    ids=str,
)
def test_bad_keys_are_refused(keys: dict[str, Any]) -> None:
    """At `check`; the input is not quoted."""
    with pytest.raises(ValidationError) as refused:
        settings(**keys)
    assert "plantedfake" not in str(refused.value)


def test_targets_are_secrets_of_a_place() -> None:
    """GitHub ignores the case of places: two sinks on one secret collide."""
    assert settings().target == f"github:acme/app#{NAME}"
    organization = settings(repository=None, organization="acme")
    assert organization.target == f"github:orgs/acme#{NAME}"
    own = settings().exclusive_targets()
    assert own == settings(repository="ACME/App").exclusive_targets()
    others = [settings(secret_name="OTHER"), settings(environment="x"), organization, settings(repository="acme/b")]
    assert own.isdisjoint(frozenset().union(*(one.exclusive_targets() for one in others)))


def test_the_package_is_imported_on_use_and_named_if_it_is_missing() -> None:
    """A configuration without this kind imports nothing of it, and one with it nothing before a write."""
    code = (
        "import sys; from tests.sinks.stores.test_github_actions import GithubActionsSink, GOOD\n"
        "for name in [name for name in sys.modules if name.partition('.')[0] == 'nacl']: del sys.modules[name]\n"
        "GithubActionsSink.model_validate(GOOD); assert 'nacl' not in sys.modules\n"
        "sys.meta_path.insert(0, type('No', (), {'find_spec': lambda s, name, *a: None})()); sys.path[:] = []\n"
        "sys.path_importer_cache.clear()\n"
        "GithubActionsSink.model_validate(GOOD)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert 'kind "github-actions" needs the package nacl: pip install "tokend[github]"' in run.stderr
