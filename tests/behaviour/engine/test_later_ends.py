"""The same token with a later end, in files and stores: what shows the end is written, and nothing else."""

import json
from pathlib import Path
from typing import Any

import anyio

from tests.expecting import present
from tests.fakes import HOUR, FakeExtending, provider
from tests.store_world import store_sink, world_with_store
from tests.virtual import VirtualClock, run_virtually, until
from tokend.sinks.files.json import JsonSink
from tokend.sinks.files.raw import RawSink
from tokend.values.tokens import utc


def shown(path: Path) -> Any:
    return json.loads(path.read_text())


def test_what_shows_the_end_is_written_again_and_nothing_is_announced(tmp_path: Path) -> None:
    """For the programs that read the token nothing has changed; a restart writes nothing."""
    whole, bare, calls = tmp_path / "whole.json", tmp_path / "bare", tmp_path / "calls"
    on_change = ("/bin/sh", "-c", f"echo called >> {calls}")

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        world.upstreams["one"].life = HOUR
        a = provider(
            "a",
            FakeExtending(),
            JsonSink(path=whole, on_change=on_change),
            RawSink(path=bare, on_change=on_change),
            store_sink("plain"),
            store_sink("dated", value="{{ access_token }} {{ expires_at }}"),
        )
        async with world.running(a) as supervisor:
            await until(lambda: supervisor.ready and calls.exists(), seconds=10)
            await anyio.sleep(10)
            first, file, announced = shown(whole), bare.stat(), calls.read_text()
            assert announced == "called\n" * 2
            await anyio.sleep(HOUR)
            assert supervisor.ready
            second, lease = shown(whole), present(supervisor.entries["a"].lease)
            assert (second["generation"], second["access_token"]) == (first["generation"], first["access_token"])
            assert second["expires_at"] > first["expires_at"]
            assert second["expires_at"] == utc(present(lease.token.expires_at).wall)
            assert second["refresh_at"] == utc(present(lease.refresh_at).wall)
            assert (bare.stat().st_ino, bare.stat().st_mtime_ns) == (file.st_ino, file.st_mtime_ns)
            assert calls.read_text() == announced
            assert store.held["dated"][1].endswith(second["expires_at"])
            assert (store.requests.count("PUT plain"), store.requests.count("PUT dated")) == (1, 2)
            statuses = supervisor.entries["a"].status().sinks
            assert [(one.state, one.repairs) for one in statuses] == [("ok", 0)] * 4

    run_virtually(main)
