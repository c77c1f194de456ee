"""Ways of saving: whatever editors and orchestrators do is noticed, and what is half done is not believed."""

import os
import subprocess
from collections.abc import Callable

import pytest

from tests.daemon.harness import Daemon, Home, until
from tests.daemon.tables import DAEMON, PARTNER, PX

OTHER = PARTNER.replace("providers.partner", "providers.other").replace("out/partner.jwt", "out/other.jwt")
# docs/promises.md 85 has five seconds; machines of tests are busy.
NOTICED_SECONDS = 20.0


def noticed(daemon: Daemon) -> None:
    until(lambda: daemon.lease("other"), "the saved file", seconds=NOTICED_SECONDS)


def like_vim(home: Home, text: str) -> None:
    """backupcopy=auto: a probe file, the old one renamed to a backup, a new one written, the backup unlinked."""
    backup = home.config.with_name("config.toml~")
    home.config.with_name("4913").touch()
    home.config.with_name("4913").unlink()
    home.config.rename(backup)
    home.config.write_text(text)
    backup.unlink()


def like_a_shell(home: Home, text: str) -> None:
    home.config.write_text(text)


def like_sed(home: Home, text: str) -> None:
    program = "$r " + str(home.path / "more")
    (home.path / "more").write_text(text.removeprefix(home.config.read_text()))
    subprocess.run(["sed", "-i", program, str(home.config)], check=True)


@pytest.mark.parametrize("save", [like_vim, like_a_shell, like_sed])
def test_every_editors_way_of_saving_is_noticed(home: Home, save: Callable[[Home, str], object]) -> None:
    """docs/promises.md 85: truncate and write, rename, a new inode."""
    daemon = home.start(PARTNER).settled()
    save(home, home.text(PARTNER, OTHER))
    noticed(daemon)
    assert daemon.status()["config"]["error"] is None


def test_a_swapped_data_link_is_noticed(home: Home) -> None:
    """Kubernetes: config.toml → ..data/config.toml, ..data → a directory, and ..data is replaced."""
    for number, tables in enumerate(((PARTNER,), (PARTNER, OTHER))):
        directory = home.path / f"..v{number}"
        directory.mkdir()
        (directory / "config.toml").write_text(home.text(*tables))
    (home.path / "..data").symlink_to("..v0")
    home.config.symlink_to("..data/config.toml")
    daemon = home.start().settled()
    (home.path / "..data_tmp").symlink_to("..v1")
    os.replace(home.path / "..data_tmp", home.path / "..data")  # noqa: PTH105
    noticed(daemon)


def test_a_secret_file_is_watched_also_where_it_was_named_only_now(home: Home) -> None:
    """A reload names a new secret file; a change of it right after the reload counts."""
    daemon = home.start(PARTNER).settled()
    (home.path / "s" / "new").write_text("first-secret-of-the-other-one-0123\n")
    home.write(PARTNER, OTHER.replace("s/partner", "s/new"))
    assert daemon.ask("POST", "/v1/reload").status == 200
    first = until(lambda: daemon.lease("other"), "the first")
    home.secret("new", "second-secret-of-the-other-one-012")
    until(lambda: daemon.lease("other")["generation"] > first["generation"], "the next", seconds=NOTICED_SECONDS)


def test_a_half_written_and_an_emptied_file_are_not_believed(home: Home) -> None:
    """docs/promises.md 84: a file that shrank to nothing, or to a prefix that is no TOML, changes nothing; the rest of
    the write is then taken."""
    daemon = home.start(PX, PARTNER).settled()
    whole = home.text(PX, PARTNER, OTHER)
    with home.config.open("w") as file:  # truncated, and then nothing for a while
        until(lambda: daemon.status()["config"]["error"], "the refusal", seconds=NOTICED_SECONDS)
        file.write(whole[:-40])
        file.flush()
        until(lambda: len(daemon.log("config.refused")) >= 2, "the next refusal", seconds=NOTICED_SECONDS)
        assert {row["name"] for row in daemon.status()["tokens"]} == {"px", "partner"}
        file.write(whole[-40:])
    noticed(daemon)
    assert daemon.status()["config"]["error"] is None
    assert home.requests("projectx") == 1


def test_a_file_that_goes_is_missed_and_changes_nothing(home: Home) -> None:
    """docs/promises.md 86: the old configuration stays in force; when the file is back, all is well."""
    daemon = home.start(PARTNER).settled()
    text = home.config.read_text()
    home.config.unlink()
    until(lambda: daemon.status()["config"]["error"], "the refusal", seconds=NOTICED_SECONDS)
    assert daemon.lease("partner")
    home.save(home.config, text)
    until(lambda: daemon.status()["config"]["error"] is None, "the file", seconds=NOTICED_SECONDS)


def test_included_files_come_and_go(home: Home) -> None:
    """A directory of providers: one appears, one is broken and fixed, one is renamed away; strict names."""
    parts = home.path / "conf.d"
    parts.mkdir()
    home.write(PARTNER, daemon='include = ["conf.d/*.toml"]\n' + DAEMON)
    daemon = home.start().settled()
    other = parts / "other.toml"
    included = OTHER.replace('"s/', '"../s/').replace('"out/', '"../out/')  # relative to the file that it stands in
    (parts / ".other.toml.swp").write_text("not TOML")
    home.save(other, home.text(included, daemon=""))
    noticed(daemon)
    bad = parts / "third.toml"
    bad.write_text("[providers.third]\nkind = 'nothing'\n")
    until(lambda: daemon.status()["config"]["error"], "the refusal", seconds=NOTICED_SECONDS)
    assert str(bad) in daemon.status()["config"]["error"]
    third = included.replace("other", "third")
    bad.write_text(home.text(third, daemon=""))  # the same name: no directory changes
    until(lambda: daemon.lease("third"), "the mended one", seconds=NOTICED_SECONDS)
    other.rename(parts / "other.toml.off")
    until(lambda: daemon.get("/v1/tokens/other").status == 404, "the removal", seconds=NOTICED_SECONDS)
    assert home.out("other.jwt").exists()


def test_a_refused_file_is_taken_as_soon_as_what_it_lacks_is_there(home: Home) -> None:
    """The secret that it names comes later: nobody needs to touch the configuration again, the log is not filled."""
    daemon = home.start(PARTNER).settled().quiet()
    home.write(PARTNER, OTHER.replace("s/partner", "s/later"))
    until(lambda: daemon.status()["config"]["error"], "the refusal", seconds=NOTICED_SECONDS)
    daemon.quiet()
    (home.path / "s" / "later").write_text("secret-that-came-later-0123456789\n")
    noticed(daemon)
    assert len(daemon.log("config.refused")) == 1


def test_without_inotify_the_looking_remains(home: Home) -> None:
    """docs/promises.md 90: out of inotify instances, changes are noticed within 5 s all the same."""
    none = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'
    wrap = ("unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", none, "sh")
    if subprocess.run([*wrap, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no user namespaces here")
    home.write(PARTNER, daemon=DAEMON + 'log_level = "debug"\n')
    daemon = home.start(wrap=wrap).settled().quiet()
    assert len(daemon.log("watch.polling")) == 1
    home.write(PARTNER, OTHER)
    noticed(daemon)
    assert daemon.log("daemon.crashed") == []
