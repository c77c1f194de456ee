"""The `vault` sink against a real OpenBao, with the narrowest policy that the page shows."""

import json
import re
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.counterparts.conftest import ROOT_TOKEN
from tests.counterparts.programs import Counterpart
from tests.fakes import literal
from tests.sinks.leases import lease
from tests.sinks.played_store import runtime_of
from tokend.engine.publishing.sink_runtime import WriteRuntime
from tokend.plugin.sink import Content
from tokend.sinks.stores.vault import VaultSink
from tokend.values.errors import SinkError, SinkRejectedError

PAGE = Path(__file__).parents[2] / "docs/stores.md"
FIRST, SECOND = "planted-fake-first", "planted-fake-second"
WIDE = {"data": "create, update, patch, read", "metadata": "read, patch", "destroy": "update"}


class Bao:
    """The server as its administrator sees it."""

    def __init__(self, server: Counterpart) -> None:
        self.server = server
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask something as root; the member ``data``, or the whole answer, or None."""
        request = urllib.request.Request(  # noqa: S310  (loopback)
            f"{self.server.url}/v1/{path}", None if body is None else json.dumps(body).encode(),
            {"X-Vault-Token": ROOT_TOKEN}, method=method,
        )  # fmt: skip
        with self._opener.open(request, timeout=10) as reply:
            answer = json.loads(reply.read() or b"{}")
        return answer.get("auth") or answer.get("data") or answer

    def token(self, policy: str, **more: Any) -> str:
        """Make a token with one policy."""
        self.ask("PUT", "sys/policies/acl/narrow", {"policy": policy})
        made: str = self.ask("POST", "auth/token/create", {"policies": ["narrow"], **more})["client_token"]
        return made


@pytest.fixture
def bao(openbao: Counterpart) -> Bao:
    return Bao(openbao)


def policy(path: str, **capabilities: str) -> str:
    """A policy for one secret: the capabilities by part."""
    return "\n".join(
        f'path "secret/{part}/{path}" {{ capabilities = {json.dumps(some.split(", "))} }}'
        for part, some in capabilities.items()
    )


def run(
    bao: Bao, token: str, path: str, main: Callable[[VaultSink, WriteRuntime], Awaitable[None]], **keys: Any
) -> None:
    async def whole() -> None:
        sink = VaultSink.model_validate(
            {"address": bao.server.url, "path": path, "auth": literal(token), **keys}, context={"directory": "/nowhere"}
        )
        with anyio.fail_after(20):
            await main(sink, runtime_of(sink))

    anyio.run(whole)


async def content(sink: VaultSink, runtime: WriteRuntime, value: str, generation: int = 7) -> Content:
    return await sink.content(runtime, lease(value, generation=generation), {})


def test_the_policy_of_the_page_is_enough(bao: Bao) -> None:
    """A new secret, a second token, another writer's key beside it, a removal: without a right to read the values."""
    [shown] = re.findall(r'^ +path "secret/data/app/production".*?^ +}\n +path.*?^ +}$', PAGE.read_text(), re.M | re.S)
    token = bao.token(shown)

    async def main(sink: VaultSink, runtime: WriteRuntime) -> None:
        assert await sink.inspect(runtime) is None
        first = await sink.put(runtime, await content(sink, runtime, FIRST), None)
        assert (first.version, first.remark) == ("1", None)
        bao.ask("POST", "secret/data/app/production", {"data": {"token": FIRST, "other": 2.5}})
        second = await sink.put(runtime, await content(sink, runtime, SECOND, 8), first)
        assert (second.version, second.remark) == ("3", None)
        found = bao.ask("GET", "secret/data/app/production")
        assert found["data"] == {"token": SECOND, "other": 2.5}
        assert found["metadata"]["custom_metadata"] == {
            "tokend-writer": runtime.writer, "tokend-writer.token": runtime.writer, "tokend-generation.token": "8",
        }  # fmt: skip
        gone = await sink.remove(runtime, second)
        assert gone.remark == "versions 1-3 still hold earlier values"
        found = bao.ask("GET", "secret/data/app/production")
        assert (found["data"], found["metadata"]["custom_metadata"]) == ({"other": 2.5}, None)

    run(bao, token, "app/production", main)


@pytest.mark.parametrize("way", ["deleted", "destroyed", "metadata gone"])
def test_a_secret_that_others_deleted_is_made_again(bao: Bao, way: str) -> None:
    """Whatever is left of it."""
    path = f"app/{way.replace(' ', '-')}"

    async def main(sink: VaultSink, runtime: WriteRuntime) -> None:
        mark = await sink.put(runtime, await content(sink, runtime, FIRST), None)
        if way == "deleted":
            bao.ask("DELETE", f"secret/data/{path}")
        elif way == "destroyed":
            bao.ask("POST", f"secret/destroy/{path}", {"versions": [1]})
        else:
            bao.ask("DELETE", f"secret/metadata/{path}")
        found = await sink.inspect(runtime)
        assert found is not None
        assert found.digest is None
        again = await sink.put(runtime, await content(sink, runtime, SECOND), mark)
        assert again == await sink.inspect(runtime)
        assert bao.ask("GET", f"secret/data/{path}")["data"] == {"token": SECOND}

    run(bao, bao.token(policy(path, **WIDE)), path, main)


def test_a_secret_of_ours_alone_is_destroyed(bao: Bao) -> None:
    """Every version but the empty one."""

    async def main(sink: VaultSink, runtime: WriteRuntime) -> None:
        for number in range(3):
            await sink.put(runtime, await content(sink, runtime, f"planted-fake-{number}", number), None)
        assert (await sink.remove(runtime, None)).remark is None
        found = bao.ask("GET", "secret/metadata/app/alone")
        assert [one["destroyed"] for one in found["versions"].values()] == [True, True, True, False]
        again = await sink.inspect(runtime)
        assert again is not None
        assert again.digest is None

    run(bao, bao.token(policy("app/alone", **WIDE)), "app/alone", main, exclusive=True)


@pytest.mark.parametrize(
    ("rights", "said"),
    [
        ({"data": "create, update", "metadata": "read, patch"}, "lacks the capability patch on secret/data/app/narrow"),
        (
            {"data": "patch", "metadata": "read, patch"},
            "lacks the capability create or update on secret/data/app/narrow",
        ),
        ({"metadata": "read, patch"}, "lacks the capability"),
    ],
)
def test_a_missing_capability_is_named(bao: Bao, rights: dict[str, str], said: str) -> None:
    """The credential itself is good."""

    async def main(sink: VaultSink, runtime: WriteRuntime) -> None:
        with pytest.raises(SinkRejectedError) as refused:
            await sink.put(runtime, await content(sink, runtime, FIRST), None)
        assert said in refused.value.detail

    bao.ask("POST", "secret/data/app/narrow", {"data": {"other": "x"}})
    if "create" not in said:
        run(bao, bao.token(policy("app/narrow", **rights)), "app/narrow", main)
    else:
        bao.ask("DELETE", "secret/metadata/app/narrow")
        run(bao, bao.token(policy("app/narrow", **rights)), "app/narrow", main)


def test_an_expired_token_is_told_from_a_policy(bao: Bao) -> None:
    """Revoked while the daemon runs."""
    token = bao.token(policy("app/expired", **WIDE))

    async def main(sink: VaultSink, runtime: WriteRuntime) -> None:
        await sink.put(runtime, await content(sink, runtime, FIRST), None)
        bao.ask("POST", "auth/token/revoke", {"token": token})
        made = await content(sink, runtime, SECOND)
        with pytest.raises(SinkRejectedError, match="has expired, was revoked"):
            await sink.put(runtime, made, None)
        with pytest.raises(SinkRejectedError, match="has expired, was revoked"):
            await sink.inspect(runtime)

    run(bao, token, "app/expired", main)


def test_without_the_metadata_it_is_blind(bao: Bao) -> None:
    """New, patched, and made again after a deletion."""

    async def main(sink: VaultSink, runtime: WriteRuntime) -> None:
        for value in (FIRST, SECOND):
            mark = await sink.put(runtime, await content(sink, runtime, value), None)
            assert mark.remark is not None
            assert mark.remark.startswith("blind: ")
        bao.ask("DELETE", "secret/data/app/blind")
        assert (await sink.remove(runtime, None)).digest is None
        await sink.put(runtime, await content(sink, runtime, FIRST), None)
        assert bao.ask("GET", "secret/data/app/blind")["data"] == {"token": FIRST}

    run(bao, bao.token(policy("app/blind", data="create, update, patch")), "app/blind", main)


def test_cas_required_and_whole_writes(bao: Bao) -> None:
    """A secret that demands compare-and-set gets it, and keeps the others' keys."""
    bao.ask("POST", "secret/metadata/app/whole", {"cas_required": True})
    bao.ask("POST", "secret/data/app/whole", {"options": {"cas": 0}, "data": {"other": 2.5}})

    async def main(sink: VaultSink, runtime: WriteRuntime) -> None:
        mark = await sink.put(runtime, await content(sink, runtime, FIRST), None)
        assert mark.version == "2"
        assert bao.ask("GET", "secret/data/app/whole")["data"] == {"token": FIRST, "other": 2.5}
        await sink.remove(runtime, mark)
        assert bao.ask("GET", "secret/data/app/whole")["data"] == {"other": 2.5}

    rights = {"data": "read, create, update", "metadata": "read, patch"}
    run(bao, bao.token(policy("app/whole", **rights)), "app/whole", main, update="whole")


def test_version_1_has_a_life(bao: Bao) -> None:
    """`ttl` becomes the lease's duration; others' keys stay, and an empty secret is deleted."""
    bao.ask("POST", "sys/mounts/kv1", {"type": "kv", "options": {"version": "1"}})
    bao.ask("POST", "kv1/app", {"other": "theirs"})

    async def main(sink: VaultSink, runtime: WriteRuntime) -> None:
        made = await content(sink, runtime, FIRST)
        ends = runtime.clock.instant().after(90)
        await sink.put(runtime, Content(made.values, 7, ends), None)
        assert bao.ask("GET", "kv1/app").keys() == {"token", "ttl", "other"}
        assert (await sink.inspect(runtime)) == runtime.mark(made.values)
        await sink.remove(runtime, None)
        assert bao.ask("GET", "kv1/app") == {"other": "theirs"}

    run(bao, ROOT_TOKEN, "app", main, kv_version=1, update="whole", mount="kv1")


@pytest.mark.parametrize(("keys", "said"), [
    ({"mount": "nowhere"}, "no engine is mounted there"),
    ({"kv_version": 1, "update": "whole"}, "of that kv_version at secret/"),
])  # fmt: skip
def test_a_wrong_place_is_explained(bao: Bao, keys: dict[str, Any], said: str) -> None:
    """No engine, or the other version; nothing is written."""

    async def main(sink: VaultSink, runtime: WriteRuntime) -> None:
        with pytest.raises(SinkError) as refused:
            await sink.put(runtime, await content(sink, runtime, FIRST), None)
        assert said in refused.value.detail

    run(bao, ROOT_TOKEN, "app/wrong", main, **keys)
