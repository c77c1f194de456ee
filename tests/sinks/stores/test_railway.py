"""Kind ``railway`` against its endpoint, played: credentials, Railway's own words, references, redeployments."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes import literal
from tests.sinks.leases import PLANTED
from tests.sinks.played_server import Answer
from tests.sinks.played_store import CREDENTIAL, Row, Stage, content_of, run
from tests.sinks.stores.played_railway import ENVIRONMENT, PLACE, PROJECT, SERVICE, SHARED, PlayedRailway
from tests.sinks.test_sink_contract import said
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import AnnouncementTiming
from tokend.sinks.stores.railway import RailwaySink
from tokend.values.errors import SinkError, SinkFinalError, SinkRejectedError, SinkUnavailableError

ROW = Row(RailwaySink, PlayedRailway, PLACE)


def settings(**keys: Any) -> RailwaySink:
    """The sink with these keys."""
    return RailwaySink.model_validate({"kind": "railway", **PLACE, "auth": literal(CREDENTIAL), **keys})


def played(main: Callable[[Stage], Awaitable[None]], row: Row = ROW, **keys: Any) -> None:
    """Run with a store and a sink."""
    run(row, main, **keys)


@pytest.mark.parametrize(
    ("account", "header", "value"),
    [(False, "project-access-token", CREDENTIAL), (True, "authorization", f"Bearer {CREDENTIAL}")],
)
def test_each_token_has_its_header(account: bool, header: str, value: str) -> None:
    """A project token by default; that of an account as a Bearer token. The other header is not sent."""

    async def main(stage: Stage) -> None:
        await stage.sink.put(stage.runtime, await content_of(stage), None)
        [asked] = stage.store.server.requests
        assert asked.headers[header] == value
        assert len({"project-access-token", "authorization"} & set(asked.headers)) == 1

    played(main, account=account)


def test_a_write_is_one_mutation_that_deploys_nothing() -> None:
    """The whole request; the collection's mutation is nowhere."""

    async def main(stage: Stage) -> None:
        await stage.sink.put(stage.runtime, await content_of(stage), None)
        [asked] = stage.store.server.requests
        assert asked.json == {
            "query": "mutation($input: VariableUpsertInput!) { variableUpsert(input: $input) }",
            "variables": {
                "input": {
                    "projectId": PROJECT,
                    "environmentId": ENVIRONMENT,
                    "serviceId": SERVICE,
                    "name": "JWT_TOKEN",
                    "value": PLANTED,
                    "skipDeploys": True,
                }
            },
        }
        assert stage.store.deployed == []

    played(main)


def test_without_a_service_the_variable_is_shared() -> None:
    """The service's own variable of that name is another one."""

    async def main(stage: Stage) -> None:
        await stage.sink.put(stage.runtime, await content_of(stage), None)
        assert "serviceId" not in stage.store.server.requests[0].json["variables"]["input"]
        assert stage.store.variables[None]["JWT_TOKEN"] == PLANTED
        assert "JWT_TOKEN" not in stage.store.variables[SERVICE]

    played(main, Row(RailwaySink, PlayedRailway, SHARED))


@pytest.mark.parametrize(
    ("message", "code", "kind", "word"),
    [
        ("Not Authorized", None, SinkRejectedError, "(not authorized)"),
        ("Project Token not found", None, SinkRejectedError, "(token not found)"),
        ("no", "UNAUTHENTICATED", SinkRejectedError, "(unauthenticated)"),
        ("You are being ratelimited. Please try again later", None, SinkUnavailableError, "(ratelimit)"),
        ("slow down", "TOO_MANY_REQUESTS", SinkUnavailableError, "(too_many_requests)"),
        ("Problem processing request", "INTERNAL_SERVER_ERROR", SinkError, "(problem processing request)"),
        ("Service not found", None, SinkError, "(not found)"),
        (f"{PLANTED} is strange\x1b[2J", None, SinkError, "it: are project"),
        (None, None, SinkError, "it: are project"),
        ({"a": 1}, [2], SinkError, "it: are project"),
    ],
)
def test_railways_own_words_decide(message: Any, code: Any, kind: type[SinkError], word: str) -> None:
    """Errors come with status 200. Only words of a list are shown; whatever else stands there is not."""

    async def main(stage: Stage) -> None:
        stage.store.errors = [{"message": message, "extensions": {"code": code}}]
        with pytest.raises(SinkError) as refused:
            await stage.sink.put(stage.runtime, await content_of(stage), None)
        assert isinstance(refused.value, kind)
        assert isinstance(refused.value, SinkRejectedError) == (kind is SinkRejectedError)
        assert word in refused.value.detail
        assert PLANTED not in said(refused.value)
        assert stage.store.asked == 1

    played(main)


def test_a_value_with_a_reference_is_refused_and_nothing_is_sent() -> None:
    """Railway would store the value of another variable instead."""

    value = "planted-fake-${{Postgres.PASSWORD}}"

    async def main(stage: Stage) -> None:
        with pytest.raises(SinkFinalError, match="Railway replaces") as refused:
            await stage.sink.put(stage.runtime, await content_of(stage, value), None)
        assert value not in said(refused.value)
        assert stage.store.asked == 0

    played(main)


def test_a_value_of_several_lines_is_refused_and_nothing_is_sent() -> None:
    """A store of variables."""

    async def main(stage: Stage) -> None:
        with pytest.raises(SinkError, match="control character"):
            await content_of(stage, "planted-fake\nSECOND=x")
        assert stage.store.asked == 0

    played(main)


def test_an_empty_variable_holds_nothing_of_ours() -> None:
    """A token is never empty."""

    async def main(stage: Stage) -> None:
        stage.store.overwrite("")
        assert (await stage.sink.inspect(stage.runtime)).digest is None

    played(main)


def test_a_redeployment_is_one_request_and_its_refusal_an_error() -> None:
    """Of this service in this environment."""

    async def main(stage: Stage) -> None:
        await stage.sink.announce(stage.runtime)
        assert stage.store.deployed == [{"environmentId": ENVIRONMENT, "serviceId": SERVICE}]
        stage.store.refusing = True
        with pytest.raises(SinkRejectedError) as refused:
            await stage.sink.announce(stage.runtime)
        assert not refused.value.may_have_acted
        assert stage.store.asked == 2

    played(main, deploy="auto")


@pytest.mark.parametrize(
    ("keys", "own", "seconds"),
    [
        ({}, "", None),
        ({"deploy": "skip", "deploy_self": True}, "", None),
        ({"deploy": "auto"}, "", 3600.0),
        ({"deploy": "auto", "deploy_interval": "10m"}, "another-service", 600.0),
        ({"deploy": "auto"}, SERVICE, None),
        ({"deploy": "auto"}, SERVICE.upper(), None),
        ({"deploy": "auto", "deploy_self": True}, SERVICE, 3600.0),
    ],
)
def test_when_a_service_is_redeployed(
    keys: dict[str, Any], own: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only if asked for, and never tokend's own service unless that is asked for as well."""
    monkeypatch.setenv("RAILWAY_SERVICE_ID", own)
    wanted = None if seconds is None else AnnouncementTiming(interval_seconds=seconds)
    assert settings(**keys).announcement_timing() == wanted


def test_the_status_says_that_the_own_service_is_not_redeployed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has asked for it, and it does not happen."""
    monkeypatch.setenv("RAILWAY_SERVICE_ID", SERVICE)

    async def main(stage: Stage) -> None:
        mark = await stage.sink.put(stage.runtime, await content_of(stage), None)
        assert mark.remark == "not redeployed: tokend itself runs in this service (deploy_self)"
        assert (await stage.sink.inspect(stage.runtime)) == mark

    played(main, deploy="auto")


@pytest.mark.parametrize(
    "keys",
    [
        {"project": "a/b"},
        {"environment": ""},
        {"service": "$SERVICE"},
        {"variable": "1_TOKEN"},
        {"variable": "JWT-TOKEN"},
        {"auth": None},
        {"service": None, "deploy": "auto"},
        {"base_url": "http://backboard.railway.com"},
        {"base_url": "https://somebody@backboard.railway.com"},
        {"replace": True},
    ],
    ids=str,
)
def test_bad_keys_are_refused(keys: dict[str, Any]) -> None:
    """At `check`; the input is not quoted."""
    with pytest.raises(ValidationError):
        settings(**keys)


def test_targets_are_variables() -> None:
    """Two sinks on one variable collide, also where an id is written differently; two variables do not."""
    assert settings().target == f"railway:{ENVIRONMENT}/{SERVICE}#JWT_TOKEN"
    assert settings(service=None).target == f"railway:{ENVIRONMENT}#JWT_TOKEN"
    own = settings().exclusive_targets()
    assert own == settings(service=SERVICE.upper(), project="another-name").exclusive_targets()
    assert own.isdisjoint(settings(variable="OTHER").exclusive_targets() | settings(service=None).exclusive_targets())


@pytest.mark.parametrize(("renewed", "asked"), [(True, 2), (False, 1)])
def test_a_refusal_in_railways_words_is_reported_like_a_401(
    renewed: bool, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a newer token of the provider that the credential comes from there is one more request, and no third."""

    async def main(stage: Stage) -> None:
        reports = []

        async def report(_: Any, auth: SecretSource) -> bool:
            reports.append(auth)
            stage.store.refusing = False
            return renewed

        monkeypatch.setattr(type(stage.runtime), "renewed", report)
        stage.store.refusing = True
        if renewed:
            await stage.sink.put(stage.runtime, await content_of(stage), None)
        else:
            with pytest.raises(SinkRejectedError):
                await stage.sink.put(stage.runtime, await content_of(stage), None)
        assert reports == [stage.sink.auth]
        assert stage.store.asked == asked

    played(main)


@pytest.mark.parametrize("body", [{}, {"data": {}}, {"data": {"variableUpsert": False}}, {"data": {"other": True}}])
def test_only_a_confirmation_is_a_success(body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 200 is none."""

    async def main(stage: Stage) -> None:
        monkeypatch.setattr(stage.store.server, "_answer", lambda asked: Answer(200, body))
        content = await content_of(stage)
        for operation in (stage.sink.put(stage.runtime, content, None), stage.sink.announce(stage.runtime)):
            with pytest.raises(SinkError, match=r"without a result|did not confirm"):
                await operation

    played(main, deploy="auto")
