"""Tokens that are read from a file of another program, on a virtual clock: when the file is read, and when not."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import anyio
import pytest

from tests.expecting import present
from tests.fakes import HOUR, FakeRuntime, FakeSink, World, config, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.plugin.field_roles import Role
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import TransientError
from tokend.values.secret import Secret
from tokend.values.status import State
from tokend.values.tokens import Token

READS: list[float] = []


class FakeRead(HeldSettings):
    """A held kind whose file has a value and the boot time of its end."""

    is_read_from_file: ClassVar[bool] = True

    kind: Literal["fake-read"] = "fake-read"
    path: Annotated[Path, Role.ACCOUNT]

    async def fetch(self, runtime: FakeRuntime, previous: Token | None) -> Token:
        now = runtime.clock.instant()
        READS.append(now.boot)
        try:
            value, end = json.loads(self.path.read_text())
        except (OSError, ValueError):
            raise TransientError("no token") from None
        if end <= now.boot:
            raise TransientError("an ended token")
        return Token(Secret(value), "Bearer", now, now.after(end - now.boot))


@pytest.fixture(autouse=True)
def path(tmp_path: Path) -> Path:
    READS.clear()
    return tmp_path / "token"


def write(path: Path, value: str, end: float, supervisor: Any = None) -> None:
    """Let the other program write its file, and the watch notice it."""
    path.write_text(json.dumps([value, end]))
    if supervisor is not None:
        supervisor.secrets_changed({path})


def remove(path: Path, supervisor: Any) -> None:
    path.unlink()
    supervisor.secrets_changed({path})


def value(entry: Any) -> str:
    return str(present(entry.lease).token.value.reveal())


def test_a_file_whose_token_is_the_old_one_is_read_ever_more_rarely_and_after_its_end_by_backoff(path: Path) -> None:
    """Its change would be noticed. Near the end half of what remains would be no time at all."""

    async def main(clock: VirtualClock) -> None:
        world, start = World(clock), clock.instant().boot
        write(path, "fake-one", start + HOUR)
        async with world.running(provider("a", FakeRead(path=path))) as supervisor:
            await anyio.sleep(HOUR - 1)
            assert len(READS) <= 12
            assert supervisor.entries["a"].status().state is State.VALID
            await anyio.sleep(HOUR)
            assert supervisor.entries["a"].status().state is State.EXPIRED
            assert len(READS) <= 12 + 80
            # At its end it is read once more, whenever that is.
            assert sum(b - a < 4.9 for a, b in pairwise(READS)) <= 1

    run_virtually(main)


def test_a_change_of_the_file_is_read_at_once_whatever_was_before(path: Path) -> None:
    """After a success, within the pause after a failure, and after a long time."""

    async def main(clock: VirtualClock) -> None:
        world, start = World(clock), clock.instant().boot
        async with world.running(provider("a", FakeRead(path=path), FakeSink())) as supervisor:
            entry = supervisor.entries["a"]
            await anyio.sleep(10 * 60)
            for number in range(20):
                write(path, f"fake-{number}", start + 10 * HOUR, supervisor)
                await anyio.sleep(0.1)
                assert value(entry) == f"fake-{number}"
                remove(path, supervisor)
                await anyio.sleep(0.1)
                assert entry.status().state is State.FAILING
                assert value(entry) == f"fake-{number}"
            assert list(world.disk.values()) == ["fake-19"]

    run_virtually(main)


def test_a_start_reads_the_file_although_a_valid_token_is_held(path: Path) -> None:
    """It may have changed while nobody watched it."""

    async def main(clock: VirtualClock) -> None:
        world, start = World(clock), clock.instant().boot
        write(path, "fake-one", start + 10 * HOUR)
        async with world.running(provider("a", FakeRead(path=path))):
            await anyio.sleep(1)
        write(path, "fake-two", start + 10 * HOUR)
        async with world.running(provider("a", FakeRead(path=path))) as supervisor:
            await anyio.sleep(1)
            assert value(supervisor.entries["a"]) == "fake-two"

    run_virtually(main)


def test_another_path_is_another_account_and_its_token_follows_without_a_gap(path: Path) -> None:
    """Where there is none, the old one does not stay."""

    async def main(clock: VirtualClock) -> None:
        world, start = World(clock), clock.instant().boot
        other, nothing = path.with_name("other"), path.with_name("nothing")
        write(path, "fake-one", start + 10 * HOUR)
        write(other, "fake-other", start + 10 * HOUR)
        async with world.running(provider("a", FakeRead(path=path))) as supervisor:
            await anyio.sleep(1)
            await supervisor.apply(config(provider("a", FakeRead(path=other))))
            assert supervisor.entries["a"].lease is not None
            await anyio.sleep(1)
            assert value(supervisor.entries["a"]) == "fake-other"
            await supervisor.apply(config(provider("a", FakeRead(path=nothing))))
            await anyio.sleep(1)
            assert supervisor.entries["a"].lease is None

    run_virtually(main)


def test_a_forgotten_token_of_a_file_is_read_once_and_not_published(path: Path) -> None:
    """A kind that signs here tries again in the next second; the file would be the same."""

    async def main(clock: VirtualClock) -> None:
        world, start = World(clock), clock.instant().boot
        write(path, "fake-one", start + 10 * HOUR)
        async with world.running(provider("a", FakeRead(path=path))) as supervisor:
            await anyio.sleep(1)
            READS.clear()
            await supervisor.forget("a")
            await anyio.sleep(4)
            assert len(READS) == 1
            assert supervisor.entries["a"].lease is None
            write(path, "fake-two", start + 10 * HOUR, supervisor)
            await anyio.sleep(0.1)
            assert value(supervisor.entries["a"]) == "fake-two"

    run_virtually(main)
