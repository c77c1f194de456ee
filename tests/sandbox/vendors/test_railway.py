"""Railway's variables as the sandbox plays them, and tokend's own sink against them."""

import json
from typing import Any

import anyio
import pytest

from tests.fakes import literal
from tests.sandbox.player import Answer, Play, Player
from tests.sinks.leases import PLANTED, lease
from tests.sinks.played_store import runtime_of
from tokend.sinks.stores.railway import RailwaySink
from tokend.values.errors import SinkRejectedError, SinkUnavailableError

PLACE = {"projectId": "sandbox-project", "environmentId": "sandbox-environment", "serviceId": "bot"}
UPSERT = "mutation($input: VariableUpsertInput!) { variableUpsert(input: $input) }"
NOT_AUTHORIZED = [{"message": "Not Authorized", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]


def ask(player: Player, query: str, variables: Any, **headers: str) -> Answer:
    """Send one operation with the project token, or with other headers."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = sent or {"Project-Access-Token": "sandbox-railway-token"}
    return player.call("POST", "/graphql/v2", {"query": query, "variables": variables}, headers=sent)


def upsert(player: Player, name: str, **more: Any) -> Answer:
    return ask(player, UPSERT, {"input": {**PLACE, "name": name, "value": "fake", **more}})


def deployments(player: Player) -> int:
    [service] = player.control("railway").json["services"]
    return int(service["deployments"])


def test_a_variable_is_set_read_and_deleted(play: Play) -> None:
    """The others of the service stay."""
    player = play()
    for name in ("A", "B"):
        assert upsert(player, name, skipDeploys=True).json == {"data": {"variableUpsert": True}}
    read = "query($projectId: String!) { variables(projectId: $projectId) }"
    assert ask(player, read, PLACE).json == {"data": {"variables": {"A": "fake", "B": "fake"}}}
    delete = "mutation($input: VariableDeleteInput!) { variableDelete(input: $input) }"
    assert ask(player, delete, {"input": {**PLACE, "name": "A"}}).json == {"data": {"variableDelete": True}}
    assert ask(player, delete, {"input": {**PLACE, "name": "A"}}).json["errors"][0]["message"] == "Variable not found"
    assert ask(player, read, PLACE).json == {"data": {"variables": {"B": "fake"}}}
    assert ask(player, read, {**PLACE, "serviceId": None}).json == {"data": {"variables": {}}}


def test_a_write_deploys_unless_it_says_otherwise(play: Play) -> None:
    """As Railway does; and a redeployment can be asked for."""
    player = play()
    upsert(player, "A", skipDeploys=True)
    assert deployments(player) == 0
    upsert(player, "A")
    assert deployments(player) == 1
    redeploy = "mutation($e: String!) { serviceInstanceRedeploy(environmentId: $e, serviceId: $s) }"
    assert ask(player, redeploy, PLACE).json == {"data": {"serviceInstanceRedeploy": True}}
    assert deployments(player) == 2


def test_the_collection_with_replace_deletes_the_others(play: Play) -> None:
    """The trap that a sink must not fall into is there."""
    player = play()
    upsert(player, "A", skipDeploys=True)
    mutation = "mutation($input: X!) { variableCollectionUpsert(input: $input) }"
    ask(player, mutation, {"input": {**PLACE, "variables": {"B": "x"}, "replace": True, "skipDeploys": True}})
    assert player.control("railway").json["services"] == [{"service": "bot", "variables": ["B"], "deployments": 0}]


@pytest.mark.parametrize(
    "headers",
    [
        {"Project_Access_Token": "another"},
        {"Authorization": "Bearer sandbox-railway-token"},
        {"Project_Access_Token": "sandbox-railway-account"},
        {"X_Nothing": "x"},
    ],
)
def test_a_token_in_the_wrong_place_is_not_authorized(play: Play, headers: dict[str, str]) -> None:
    """With status 200."""
    answer = ask(play(), UPSERT, {"input": {**PLACE, "name": "A", "value": "fake"}}, **headers)
    assert (answer.status, answer.json["errors"]) == (200, NOT_AUTHORIZED)


@pytest.mark.parametrize(
    ("query", "variables", "status"),
    [
        (UPSERT, {"input": {**PLACE, "projectId": "other", "name": "A", "value": "x"}}, 200),
        (UPSERT, {"input": {**PLACE, "name": "A", "value": 7}}, 200),
        (UPSERT, {"input": []}, 200),
        (UPSERT, [], 200),
        ("query { me { id } }", {}, 400),
        ("query { variableUpsert }", {}, 400),
        ("", {}, 400),
        (7, {}, 400),
    ],
)
def test_what_is_wrong_is_an_error_and_changes_nothing(play: Play, query: Any, variables: Any, status: int) -> None:
    """Of GraphQL with status 400, of Railway with 200."""
    player = play()
    answer = ask(player, query, variables)
    assert (answer.status, answer.json["data"]) == (status, None)
    assert answer.json["errors"][0]["message"]
    assert not any(one["variables"] for one in player.control("railway").json["services"])


def test_an_account_token_may_do_it_too(play: Play) -> None:
    """But belongs to no project."""
    player, bearer = play(), {"Authorization": "Bearer sandbox-railway-account"}
    assert ask(player, "query { variables }", PLACE, **bearer).json == {"data": {"variables": {}}}
    assert ask(player, "query { projectToken { projectId } }", {}, **bearer).json["errors"] == NOT_AUTHORIZED
    assert ask(player, "query { projectToken { projectId } }", {}).json["data"]["projectToken"] == {
        "projectId": "sandbox-project",
        "environmentId": "sandbox-environment",
    }


def test_tokends_own_sink_writes_there(play: Play) -> None:
    """Two programs that share no code understand each other: put, inspect, redeploy, remove, refusal, pause."""
    player = play()

    async def main() -> None:
        keys = {"project": "sandbox-project", "environment": "sandbox-environment", "service": "bot", "variable": "T"}
        more = {"base_url": player.sandbox.url, "auth": literal("sandbox-railway-token"), "deploy": "auto"}
        sink = RailwaySink.model_validate({**keys, **more})
        runtime = runtime_of(sink)
        content = await sink.content(runtime, lease(), {})
        mark = await sink.put(runtime, content, None)
        assert await sink.inspect(runtime) == mark
        await sink.announce(runtime)
        assert deployments(player) == 1
        assert (await sink.remove(runtime, mark)).digest is None
        assert (await sink.remove(runtime, None)).digest is None
        player.control("behaviour", {"vendor": "railway", "mode": "rate_limit", "retry_after": "9", "count": 1})
        with pytest.raises(SinkUnavailableError) as limited:
            await sink.put(runtime, content, None)
        assert limited.value.retry_after == 9
        player.control("credentials", {"vendor": "railway", "project_token": "another"})
        with pytest.raises(SinkRejectedError):
            await sink.put(runtime, content, None)

    anyio.run(main)
    assert PLANTED not in json.dumps(player.control("requests").json) + json.dumps(player.control("railway").json)
