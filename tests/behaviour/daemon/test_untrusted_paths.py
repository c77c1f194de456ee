"""Files that somebody else could change are not used: at a start one provider or sink fails, a reload is refused."""

import os
from pathlib import Path

import pytest

from tests.daemon import tables
from tests.daemon.harness import Home, until
from tests.daemon.tables import DAEMON, SECRETS
from tests.files.children import STRANGER, needs_root

PX, PARTNER, LINKS = (one.replace('"s/', '"./s/') for one in (tables.PX, tables.PARTNER, tables.LINKS))
OTHER = PARTNER.replace("providers.partner", "providers.other").replace("out/partner.jwt", "out/other.jwt")
OTHER = OTHER.replace("./s/partner", "./s/other")


def unsafe(home: Home, what: str) -> Path:
    """Let others change what ``px`` or ``links`` needs; returns what to put right."""
    if what == "the secret's directory":
        path = home.path / "s"
        path.chmod(0o777)
    elif what == "the secret's link":
        place = home.path / "open"
        place.mkdir()
        path = place
        (home.path / "s" / "px-key").rename(place / "px-key")
        (home.path / "s" / "px-key").symlink_to(place / "px-key")
        place.chmod(0o777)
    else:
        path = home.path / "s" / "px-key"
        path.chmod(0o602)
    return path


@pytest.mark.parametrize("what", ["the secret", "the secret's link", "the secret's directory"])
def test_an_unsafe_secret_is_not_read(home: Home, what: str) -> None:
    """The class is `unsafe_path`; nothing is sent. When the path is put right, the provider begins by itself."""
    path = unsafe(home, what)
    daemon = home.start(PX)
    row = until(lambda: daemon.row("px") if daemon.row("px").get("last_error") else None, "the error")
    assert (row["state"], row["last_error"]["class"]) == ("pending", "unsafe_path")
    assert f"every user may write to {path}" in row["last_error"]["detail"]
    assert "unsafe_path" in {one["code"] for one in row["warnings"]}
    assert home.requests("projectx") == 0
    refused = home.run("reload")
    assert (refused.returncode, f"chmod o-w {path}" in refused.stderr) == (2, True)
    assert home.run("check", str(home.config)).returncode == 2
    path.chmod(0o700 if path.is_dir() else 0o600)
    until(lambda: daemon.row("px")["state"] == "valid", "the login")
    assert home.run("reload").returncode == 0
    assert daemon.row("px")["warnings"] == [] or "unsafe_path" not in str(daemon.row("px")["warnings"])


def test_a_secret_that_becomes_unsafe_is_a_warning_at_once(home: Home) -> None:
    """The token is served on; the next refresh would not read the secret."""
    daemon = home.start(PX).settled()
    (home.path / "s" / "px-key").chmod(0o666)
    until(lambda: "unsafe_path" in str(daemon.row("px")["warnings"]), "the warning", seconds=5)
    assert (daemon.row("px")["state"], home.requests("projectx")) == ("valid", 1)
    (home.path / "s" / "px-key").chmod(0o600)
    until(lambda: "unsafe_path" not in str(daemon.row("px")["warnings"]), "its end", seconds=5)


def test_an_unsafe_template_or_command_concerns_its_sink(home: Home) -> None:
    """The other sinks of the token are written. The file is rendered when it is safe again."""
    template, program = home.path / "a.j2", home.path / "program"
    template.write_text("{{ access_token }}")
    program.write_text(f"#!/bin/sh\ntouch {home.path}/ran\n")
    program.chmod(0o757)
    template.chmod(0o666)
    sinks = f"""
[[providers.partner.sinks]]
kind = "template"
path = "out/rendered"
template_file = "./a.j2"

[[providers.partner.sinks]]
kind = "raw"
path = "out/announced"
on_change = ["{program}"]
"""
    daemon = home.start(PARTNER + sinks)
    until(lambda: [one["state"] for one in daemon.row("partner")["sinks"]][:2] == ["ok", "failing"], "the sinks")
    errors = [one["error"] for one in daemon.row("partner")["sinks"]]
    assert "unsafe_path: every user may write to" in errors[1] and str(template) in errors[1]
    until(lambda: "unsafe_path" in str(daemon.row("partner")["sinks"][2]["error"]), "the announcement")
    assert not (home.path / "ran").exists() and not home.out("rendered").exists()
    template.chmod(0o644)
    program.chmod(0o755)
    until(lambda: home.out("rendered").exists(), "the template", seconds=10)
    until(lambda: (home.path / "ran").exists(), "the command")


def test_a_template_is_rendered_at_once_when_it_changes(home: Home) -> None:
    """Not at the next refresh, hours later. The token stays."""
    template = home.path / "a.j2"
    template.write_text("old {{ generation }}")
    sink = '[[providers.partner.sinks]]\nkind = "template"\npath = "out/rendered"\ntemplate_file = "./a.j2"\n'
    daemon = home.start(PARTNER + sink).settled()
    generation = daemon.row("partner")["generation"]
    assert home.out("rendered").read_text() == f"old {generation}"
    template.write_text("new {{ generation }}")
    until(lambda: home.out("rendered").read_text() == f"new {generation}", "the new text", seconds=10)


def test_an_unsafe_included_file_concerns_its_providers(home: Home) -> None:
    """Another start: they ask for nothing, write nothing, and only root reads what they still hold."""
    home.secret("other", SECRETS["partner"])
    (home.path / "conf.d").mkdir()
    included = home.path / "conf.d" / "px.toml"
    text = home.text(PX + LINKS, daemon="").replace('"./s', f'"{home.path}/s').replace('"out', f'"{home.path}/out')
    home.save(included, text)
    home.write(OTHER, daemon='include = ["conf.d/*.toml"]\n' + DAEMON)
    daemon = home.start().settled()
    daemon.end()
    count, written = home.requests("projectx"), home.out("bot.env").read_text()
    home.out("bot.env").write_text("")
    included.chmod(0o666)
    daemon = home.start()
    row = until(lambda: daemon.row("px") if daemon.row("px").get("last_error") else None, "the error")
    assert (row["state"], row["valid"], row["last_error"]["class"], row["sinks"]) == (
        "failing",
        True,
        "unsafe_path",
        [],
    )
    assert daemon.row("links")["last_error"]["class"] == "unsafe_path"
    assert daemon.ask("POST", "/v1/tokens/links/issue", {"clientId": "CLIENT_001"}).status in {400, 503}
    until(lambda: daemon.row("other")["state"] == "valid", "the other token")
    assert (home.requests("projectx"), home.out("bot.env").read_text()) == (count, "")
    assert home.run("reload").returncode == 2
    included.chmod(0o600)
    until(lambda: daemon.row("px")["state"] == "valid" and daemon.row("px")["sinks"], "the reload", seconds=15)
    until(lambda: home.out("bot.env").read_text() == written, "the file")
    assert home.requests("projectx") == count


@pytest.mark.parametrize("what", ["mode", "owner", "directory"])
def test_an_unsafe_main_file_ends_the_start(home: Home, what: str) -> None:
    """With 78 under systemd, and what to do."""
    if what == "owner":
        needs_root()
    home.write(PARTNER)
    if what == "owner":
        os.chown(home.config, STRANGER, STRANGER)
    (home.path if what == "directory" else home.config).chmod({"mode": 0o662, "owner": 0o600, "directory": 0o777}[what])
    daemon = home.start(ready=False)
    assert daemon.process.wait(20) == 78
    assert "this file is at an unsafe path: " in home.log.read_text()


def test_strict_paths_count_at_a_start_and_at_a_reload(home: Home) -> None:
    """Without it, a secret that a foreign group may write is a warning. With it, nothing is sent."""
    needs_root()
    os.chown(home.path / "s" / "px-key", -1, STRANGER)
    (home.path / "s" / "px-key").chmod(0o660)
    daemon = home.start(PX).settled()
    assert "doubtful_path" in {one["code"] for one in daemon.row("px")["warnings"]}
    home.write(PX, daemon=DAEMON + "strict_paths = true\n")
    assert home.run("reload").returncode == 2
    daemon.end()
    for path in (home.path / "state" / "tokens").iterdir():
        path.unlink()
    count = home.requests("projectx")
    daemon = home.start()
    until(lambda: "unsafe_path" in str(daemon.row("px").get("last_error")), "the error")
    assert home.requests("projectx") == count
