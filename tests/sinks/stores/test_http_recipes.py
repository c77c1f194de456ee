"""The tables of docs/store-recipes.md, taken from the page and played against each vendor's documented answers."""

import json
import re
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from tests.fakes import literal
from tests.sinks.leases import PLANTED, lease
from tests.sinks.played_server import FAULTS
from tests.sinks.played_store import CREDENTIAL, runtime_of
from tests.sinks.stores.played_vendors import OTHERS, VENDORS, Infisical, KeyVault, SecretManager, Vendor, encoded
from tests.sinks.test_sink_contract import SECOND, said
from tokend.plugin.sink import Content, Mark
from tokend.sinks.stores.http import HttpSink
from tokend.values.errors import SinkConflictError, SinkError, SinkRejectedError

PAGE = Path(__file__).parents[3] / "docs" / "store-recipes.md"
RECIPES: dict[str, dict[str, Any]] = {
    title: tomllib.loads(table)["providers"]["partner"]["sinks"][0]
    for title, table in re.findall(r"^## (.+?)\n.*?^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
}
SUMMARY = {
    title: [cell.strip() for cell in cells.split("|")]
    for title, cells in re.findall(r"^\| \[(.+?)\]\(#.+?\) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
}


def adapted(title: str, url: str) -> HttpSink:
    """The recipe's sink, but with the played vendor's host and credential."""
    table = dict(RECIPES[title])
    parts = urlsplit(table["request"]["url"])
    text = json.dumps(table | {"auth": None}).replace(f"{parts.scheme}://{parts.netloc}", url)
    keys = json.loads(text) | {"auth": literal(CREDENTIAL)}
    return HttpSink.model_validate(keys, context={"directory": "/nowhere"})


class Played:
    """A recipe's sink, its vendor, and the engine's runtime."""

    def __init__(self, title: str, vendor: Vendor) -> None:
        self.vendor = vendor
        self.sink = adapted(title, vendor.server.url)
        self.runtime = runtime_of(self.sink)

    async def content(self, value: str) -> Content:
        return await self.sink.content(self.runtime, lease(value), {})

    async def put(self, value: str, known: Mark | None) -> Mark:
        return await self.sink.put(self.runtime, await self.content(value), known)


def playing(title: str, main: Callable[[Played], Awaitable[None]]) -> None:
    vendor = VENDORS[title]()

    async def whole() -> None:
        with anyio.fail_after(20):
            await main(Played(title, vendor))

    try:
        anyio.run(whole)
    finally:
        vendor.server.close()
    assert vendor.others == {"OTHER": OTHERS}


def required(mark: Mark | None) -> Mark:
    assert mark is not None
    return mark


def recipes_that(*keys: str) -> list[str]:
    return [title for title, table in RECIPES.items() if all(key in table for key in keys)]


def test_each_recipe_has_its_vendor_and_its_row() -> None:
    """The summary says what the tables can do."""
    assert set(RECIPES) == set(VENDORS) == set(SUMMARY)
    for title, table in RECIPES.items():
        compares = "{version}" in json.dumps(table["request"])
        said_by_table = ["yes" if one else "no" for one in ("inspect" in table, compares, "remove" in table)]
        assert SUMMARY[title] == said_by_table, title


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_brings_each_token(title: str) -> None:
    """The first one, the next one, and the next one after a start that knows nothing."""

    async def main(played: Played) -> None:
        first = await played.put(PLANTED, None)
        assert played.vendor.held == PLANTED
        second = await played.put(SECOND, first)
        assert played.vendor.held == SECOND
        assert second.digest != first.digest
        assert second.remark is None
        await played.put(PLANTED, None)
        assert played.vendor.held == PLANTED
        for secret in (PLANTED, SECOND, CREDENTIAL, OTHERS):
            assert secret not in repr((first, second, played.sink))

    playing(title, main)


@pytest.mark.parametrize("title", recipes_that("inspect"))
def test_a_recipe_reads_back_what_it_has_written(title: str) -> None:
    """Equal to the mark of the write; what somebody else has written differs."""

    async def main(played: Played) -> None:
        before = required(await played.sink.inspect(played.runtime))
        mark = await played.put(PLANTED, before)
        found = required(await played.sink.inspect(played.runtime))
        assert found.digest == mark.digest != before.digest
        assert mark.version in {None, found.version}
        played.vendor.held = "planted-fake-of-another-writer"
        if isinstance(played.vendor, SecretManager):
            played.vendor.alive[played.vendor.versions] = encoded(played.vendor.held)
        assert required(await played.sink.inspect(played.runtime)).digest not in {mark.digest, None}

    playing(title, main)


@pytest.mark.parametrize("title", recipes_that("remove"))
def test_a_recipe_removes_its_value(title: str) -> None:
    """Afterwards there is none, and a new token is written again."""

    async def main(played: Played) -> None:
        mark = await played.put(PLANTED, None)
        gone = await played.sink.remove(played.runtime, mark)
        assert (played.vendor.held, gone.digest) == (None, None)
        if "inspect" in RECIPES[title]:
            assert required(await played.sink.inspect(played.runtime)).digest is None
            assert (await played.sink.remove(played.runtime, None)).digest is None
        await played.put(SECOND, gone)
        assert played.vendor.held == SECOND

    playing(title, main)


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_knows_a_refused_credential(title: str) -> None:
    """By the status, or by the vendor's own word."""

    async def main(played: Played) -> None:
        played.vendor.prefix = "another "
        with pytest.raises(SinkRejectedError) as refused:
            await played.put(PLANTED, Mark("digest", "1"))
        assert played.vendor.held in {None, "planted-fake-first-value"}
        for secret in (PLANTED, CREDENTIAL):
            assert secret not in said(refused.value)

    playing(title, main)


@pytest.mark.parametrize("title", ["Consul KV", "etcd"])
def test_a_recipe_that_compares_leaves_another_writers_value(title: str) -> None:
    """Also where the version that it knows is old."""

    async def main(played: Played) -> None:
        mark = await played.put(PLANTED, None)
        newer = await Played.put(played, SECOND, mark)
        assert newer.digest != mark.digest
        with pytest.raises(SinkConflictError):
            await played.put("planted-fake-third", mark)
        with pytest.raises(SinkConflictError):
            await played.put("planted-fake-third", Mark(mark.digest, "1"))
        assert played.vendor.held == SECOND

    playing(title, main)


@pytest.mark.parametrize("title", recipes_that("inspect"))
def test_a_lost_answer_makes_no_second_version(title: str) -> None:
    """The engine reads what is there before it writes again."""

    async def main(played: Played) -> None:
        before = required(await played.sink.inspect(played.runtime))
        versions = played.vendor.versions
        played.vendor.server.play(FAULTS["answer lost"])
        with pytest.raises(SinkError):
            await played.put(PLANTED, before)
        found = required(await played.sink.inspect(played.runtime))
        assert found.digest == played.runtime.mark((await played.content(PLANTED)).values).digest
        assert played.vendor.versions == versions + 1

    playing(title, main)


def test_gcps_old_versions_are_destroyed() -> None:
    """One is left; one that was destroyed by hand already is no failure."""

    async def main(played: Played) -> None:
        assert isinstance(played.vendor, SecretManager)
        first = await played.put(PLANTED, None)
        second = await played.put(SECOND, first)
        assert set(played.vendor.alive) == {2}
        played.vendor.alive.clear()
        third = await played.put(PLANTED, second)
        assert (set(played.vendor.alive), third.version, third.remark) == ({3}, "3", None)

    playing("GCP Secret Manager", main)


def test_azure_gets_the_end_of_the_token() -> None:
    """As Unix seconds."""

    async def main(played: Played) -> None:
        await played.put(PLANTED, None)
        assert isinstance(played.vendor, KeyVault)
        assert played.vendor.expires == 1772452800

    playing("Azure Key Vault", main)


def test_a_change_that_waits_for_approval_is_no_success() -> None:
    """Infisical answers 200 then."""

    async def main(played: Played) -> None:
        assert isinstance(played.vendor, Infisical)
        played.vendor.needs_approval = True
        with pytest.raises(SinkError, match=r"answer\.success does not hold"):
            await played.put(PLANTED, None)

    playing("Infisical", main)
