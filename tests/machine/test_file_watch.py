"""Changes of real files, noticed."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.files.children import STRANGER, needs_root
from tokend.machine.file_watch import READS, FileWatch
from tokend.machine.thread_pool import ThreadPool

# An audit hook cannot be removed: it passes the path of each opened file to the present listeners.
HEARD: list[Callable[[str], Any]] = []
sys.addaudithook(lambda event, args: [hear(str(args[0])) for hear in HEARD] if event == "open" else None)


def changes_after(files: list[Path], act: Callable[[], object]) -> set[Path]:
    """Watch ``files``, do ``act``, give the first set of changes."""

    async def main() -> set[Path]:
        found: list[set[Path]] = []
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:

                def note(changed: set[Path]) -> None:
                    found.append(changed)
                    tasks.cancel_scope.cancel()

                watch = FileWatch(note, threads=ThreadPool(1))
                assert await watch.follow(files)
                act()
                tasks.start_soon(watch.run)
        return found[0]

    return anyio.run(main)


def rename_over(path: Path) -> None:
    new = path.with_name("new")
    new.write_text("new")
    os.replace(new, path)  # noqa: PTH105


def swap_link(path: Path) -> None:
    (path.parent / "other").write_text("new")
    link = path.parent / "..data_tmp"
    link.symlink_to("other")
    os.replace(link, path)  # noqa: PTH105


@pytest.mark.parametrize(
    "act",
    [lambda p: p.write_text("new"), rename_over, swap_link, lambda p: p.unlink(), lambda p: p.chmod(0o604)],
)
def test_every_way_of_saving_is_noticed(tmp_path: Path, act: Callable[[Path], object]) -> None:
    """docs/promises.md 85: in place, rename, link swap; a file that goes, and one that others may read now."""
    path, other = tmp_path / "config.toml", tmp_path / "other.toml"
    path.write_text("old")
    other.write_text("untouched")
    assert changes_after([path, other], lambda: act(path)) == {path}


def test_a_new_name_in_a_watched_directory_is_a_change_of_it(tmp_path: Path) -> None:
    """Include patterns: a file that appears."""
    assert changes_after([tmp_path], lambda: (tmp_path / "new.toml").write_text("x")) == {tmp_path}


def test_touching_without_changing_is_no_change(tmp_path: Path) -> None:
    """Content counts, not times: the other file's change is what is reported."""
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_text("same")
    other.write_text("old")

    def act() -> None:
        path.write_text("same")
        other.write_text("new")

    assert changes_after([path, other], act) == {other}


def test_temporary_names_in_a_watched_directory_are_no_change(tmp_path: Path) -> None:
    """A token file beside included files is replaced by way of a dot-file; that is no new configuration."""
    other = tmp_path / "a"
    other.write_text("old")

    def act() -> None:
        (tmp_path / ".bot.env.tokend-0123abcd").write_text("x")
        (tmp_path / "old.toml~").write_text("x")
        other.write_text("new")

    assert changes_after([tmp_path, other], act) == {other}


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    """A fifo that took a watched file's place would hold the reader for ever."""
    path, other = tmp_path / "config.toml", tmp_path / "b"
    path.write_text("old")
    other.write_text("old")

    def act() -> None:
        path.unlink()
        os.mkfifo(path)
        other.write_text("new")

    assert changes_after([path, other], act) == {path, other}


def test_following_others_keeps_what_is_known_of_the_rest(tmp_path: Path) -> None:
    """A reload names new files: a change of an old one that was not yet noticed is not lost by it."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("1")
    new.write_text("1")

    async def main() -> None:
        found: list[set[Path]] = []
        seen = anyio.Event()

        def note(changed: set[Path]) -> None:
            found.append(changed)
            seen.set()

        watch = FileWatch(note, threads=ThreadPool(1))
        assert await watch.follow([old])
        old.write_text("2")
        assert await watch.follow([old, new])
        assert not await watch.follow([old, new])
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch.run)
                await seen.wait()
                tasks.cancel_scope.cancel()
        assert found == [{old}]

    anyio.run(main)


def test_of_a_thousand_files_only_some_are_read_at_each_look(tmp_path: Path) -> None:
    """docs/promises.md 85: stat(2) says whether the others changed; after some looks each file has been read."""
    paths = [tmp_path / f"{number:04}" for number in range(1000)]
    for path in paths:
        path.write_text("old")
    opened: list[str] = []
    HEARD.append(lambda name: opened.append(name) if name.startswith(str(tmp_path)) else None)

    async def main() -> None:
        found: list[set[Path]] = []
        watch = FileWatch(found.append, threads=ThreadPool(1))
        await watch.follow(paths)
        assert len(opened) == 1000
        opened.clear()
        for _ in range(1000 // READS):
            await watch._look()
        assert sorted(opened) == sorted(map(str, paths))
        paths[-1].write_text("new")
        opened.clear()
        await watch._look()
        assert found == [{paths[-1]}]
        assert len(opened) <= 250

    try:
        anyio.run(main)
    finally:
        HEARD.clear()


def test_a_large_file_of_another_user_is_never_opened(tmp_path: Path) -> None:
    """Its owner must not keep a core busy. A change is noticed by its stamp."""
    needs_root()
    path, opened = tmp_path / "secret", list[str]()
    path.touch()
    os.truncate(path, 2 * 1024 * 1024)
    os.chown(path, STRANGER, -1)
    HEARD.append(opened.append)
    try:
        assert changes_after([path], lambda: os.truncate(path, 3 * 1024 * 1024)) == {path}
    finally:
        HEARD.remove(opened.append)
    assert str(path) not in opened
