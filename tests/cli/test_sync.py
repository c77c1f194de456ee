"""`tokend sync`: a token is written to its sinks now; `tokend status --inspect`: what they hold."""

import json

from tests.cli.running import SOMEBODY, Running, as_root, tokend_as


def test_a_sync_writes_files_that_others_have_changed(running: Running) -> None:
    """One line per sink with its label. The upstream is not asked."""
    file = running.directory / "tt.json"
    running.becomes("tt", "valid")
    before = running.row("tt")["generation"]
    file.write_text("somebody else's")
    done = running.tokend("sync", "tt")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"json-1: {file}, written 0 s ago")
    assert json.loads(file.read_text())["generation"] == before
    assert running.row("tt")["generation"] == before
    done = running.tokend("sync", "tt", "--sink", "json-1", "-o", "json")
    answer = json.loads(done.out)
    assert (answer["version"], answer["name"], [sink["label"] for sink in answer["sinks"]]) == (1, "tt", ["json-1"])


def test_what_cannot_be_synced_is_said_with_its_exit_code(running: Running) -> None:
    """2 for a label that is not there and for a token that is issued on demand, 5 for no token, 7 without a token."""
    done = running.tokend("sync", "tt", "--sink", "raw-1")
    assert (done.code, done.err) == (2, "tokend: sink must be one of json-1\n")
    assert running.tokend("sync", "wallet").code == 2
    assert running.tokend("sync", "nosuch").code == 5
    done = running.tokend("sync", "partner")
    assert (done.code, done.out) == (0, "partner has no sinks\n")
    assert running.tokend("status", "--inspect").code == 2


def test_a_sink_that_fails_is_exit_code_1(own: Running) -> None:
    """The error of the status; another sink that holds the token does not hide it."""
    config = own.directory / "config.toml"
    tables = [
        f'[[providers.one.sinks]]\nkind = "raw"\npath = "{path}"\nrequired = false\n' for path in ("away/x", "there")
    ]
    config.write_text(config.read_text() + "".join(tables))
    assert own.tokend("reload").code == 0
    done = own.tokend("sync", "one")
    assert done.code == 1
    _, failing, right = done.out.splitlines()
    assert failing.startswith(f"raw-2: {own.directory}/away/x, failing: ")
    assert failing.endswith("(required = false)")
    assert right.startswith(f"raw-3: {own.directory}/there, written")
    assert own.tokend("sync", "one", "--sink", "raw-3").code == 0


@as_root
def test_only_admins_sync_and_inspect(running: Running) -> None:
    """Exit code 6 for anybody else."""
    for words in (("sync", "tt"), ("status", "tt", "--inspect")):
        assert tokend_as(SOMEBODY, *words, "--socket", str(running.socket)).code == 6


def test_status_shows_what_a_look_has_found(own: Running) -> None:
    """Before and after somebody has changed the file, which is not written again."""
    path = own.directory / "kept"
    config = own.directory / "config.toml"
    table = f'[[providers.one.sinks]]\nkind = "raw"\npath = "{path}"\ndrift = "report"\n'
    config.write_text(config.read_text() + table)
    assert own.tokend("reload").code == 0
    assert own.tokend("sync", "one").code == 0
    assert ", looked at: as it must be\n" in own.tokend("status", "one", "--inspect").out
    path.write_text("somebody else's")
    shown = own.tokend("status", "one", "--inspect").out
    assert "looked at: changed by another writer: " in shown
    assert path.read_text() == "somebody else's"
    [row] = json.loads(own.tokend("status", "one", "--inspect", "-o", "json").out)["tokens"]
    assert row["sinks"][1]["drift"].startswith("changed")
