"""Changes of real files, noticed."""

import os

import anyio
import pytest

from tokend.watch import FileWatch


def changes_after(files, act):
    """Watch ``files``, do ``act``, give the first set of changes."""

    async def main():
        watch = FileWatch(lambda: files)
        found = None
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:

                async def listen():
                    nonlocal found
                    async for changed in watch.changes():
                        found = changed
                        tasks.cancel_scope.cancel()

                tasks.start_soon(listen)
                await anyio.lowlevel.checkpoint()
                act()
        return found

    return anyio.run(main)


def rename_over(path):
    new = path.with_name("new")
    new.write_text("new")
    os.replace(new, path)  # noqa: PTH105


def swap_link(path):
    (path.parent / "other").write_text("new")
    link = path.parent / "..data_tmp"
    link.symlink_to("other")
    os.replace(link, path)  # noqa: PTH105


@pytest.mark.parametrize("act", [lambda p: p.write_text("new"), rename_over, swap_link, lambda p: p.unlink()])
def test_every_way_of_saving_is_noticed(tmp_path, act):
    """docs/promises.md 85: in place, rename, link swap; and a file that goes."""
    path, other = tmp_path / "config.toml", tmp_path / "other.toml"
    path.write_text("old")
    other.write_text("untouched")
    assert changes_after([path, other], lambda: act(path)) == {path}


def test_a_new_name_in_a_watched_directory_is_a_change_of_it(tmp_path):
    """Include patterns: a file that appears."""
    assert changes_after([tmp_path], lambda: (tmp_path / "new.toml").write_text("x")) == {tmp_path}


def test_touching_without_changing_is_no_change(tmp_path):
    """Content counts, not times: the other file's change is what is reported."""
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_text("same")
    other.write_text("old")

    def act():
        path.write_text("same")
        other.write_text("new")

    assert changes_after([path, other], act) == {other}
