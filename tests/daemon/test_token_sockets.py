"""The sockets of ``[[sockets]]`` in a whole daemon: what each serves, and what a reload changes."""

import grp
import http.client
import json
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.harness import Daemon, Home, _UnixConnection, until
from tests.daemon.tables import DAEMON, PARTNER, WALLET
from tests.httpd.test_unix_socket import as_root

OTHER = PARTNER.replace("partner", "other").replace('{{ file = "s/other" }}', '{{ file = "s/partner" }}')
HIDDEN = OTHER.replace("providers.other", "providers.hidden").replace("other.jwt", "hidden.jwt") + (
    '[providers.hidden.access]\nusers = ["54321"]\n'
)


def table(path: str = "run/bot.sock", tokens: str = '"partner"', more: str = "") -> str:
    return f'[[sockets]]\npath = "{path}"\ntokens = [{tokens}]\n{more}\n'


def write(home: Home, *tables: str) -> None:
    home.write(PARTNER, OTHER, HIDDEN, WALLET, daemon=DAEMON + "".join(tables))


@contextmanager
def connected(home: Home, path: str = "run/bot.sock") -> Iterator[http.client.HTTPConnection]:
    connection = _UnixConnection(home.path / path)
    try:
        yield connection
    finally:
        connection.close()


def asked(connection: http.client.HTTPConnection, target: str, method: str = "GET", **headers: str) -> tuple[int, Any]:
    """One request on an open connection: status and JSON."""
    connection.request(method, target, headers={name.replace("_", "-"): text for name, text in headers.items()})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def ask(home: Home, target: str, method: str = "GET", *, path: str = "run/bot.sock") -> tuple[int, Any]:
    with connected(home, path) as connection:
        return asked(connection, target, method)


def statuses(home: Home, *names: str, path: str = "run/bot.sock") -> list[int]:
    """The statuses of reads, each twice: parsed, and as a known text."""
    found = [[ask(home, f"/v1/tokens/{name}", path=path)[0] for _ in range(2)] for name in names]
    assert all(first == second for first, second in found)
    return [first for first, _ in found]


def reloaded(home: Home, *tables: str) -> None:
    write(home, *tables)
    done = home.run("reload")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def daemon(home: Home) -> Daemon:
    write(home, table())
    return home.start().settled()


def test_a_socket_serves_its_tokens_and_no_others(home: Home, daemon: Daemon) -> None:
    """Read, list, status, metrics, events: the other tokens are as if they did not exist."""
    for name in ("partner", "other", "hidden"):
        assert daemon.get(f"/v1/tokens/{name}").status == 200
        assert daemon.get(f"/v1/tokens/{name}").status == 200  # from now on a known text
    assert statuses(home, "partner", "other", "hidden", "no-such") == [200, 404, 404, 404]
    assert ask(home, "/v1/tokens/wallet/issue", "POST")[0] == 404
    assert ask(home, "/v1/tokens/other/refresh", "POST")[0] == 404
    assert [row["name"] for row in ask(home, "/v1/tokens")[1]["tokens"]] == ["partner"]
    assert [row["name"] for row in ask(home, "/v1/status")[1]["tokens"]] == ["partner"]
    with connected(home) as connection:
        connection.request("GET", "/metrics")
        page = connection.getresponse().read().decode()
    assert 'token="partner"' in page
    assert 'token="other"' not in page
    with connected(home) as connection:
        connection.request("GET", "/v1/events", headers={"Last-Event-ID": "0"})
        stream = connection.getresponse()
        lines = [stream.readline() for _ in range(5)]
        assert b"partner" in b"".join(lines)
        assert b"other" not in b"".join(lines)


def test_nobody_is_an_admin_there_unless_the_socket_says_so(home: Home, daemon: Daemon) -> None:
    """The daemon's own user neither reloads nor forgets nor refreshes unconditionally, and sees no sockets."""
    for target in ("/v1/reload", "/v1/tokens/partner/forget", "/v1/tokens/partner/refresh"):
        status, problem = ask(home, target, "POST")
        assert (status, problem["code"]) == (403, "denied")
    assert "this socket has none" in ask(home, "/v1/reload", "POST")[1]["detail"]
    assert "sockets" not in ask(home, "/v1/status")[1]
    reloaded(home, table(more="admin = true"))
    assert ask(home, "/v1/reload", "POST")[0] == 200
    assert ask(home, "/v1/tokens/partner/forget", "POST")[0] == 200
    assert ask(home, "/v1/tokens/other/forget", "POST")[0] == 404
    (row,) = ask(home, "/v1/status")[1]["sockets"]
    assert row == {
        "path": str(home.path / "run/bot.sock"), "tokens": ["partner"], "admin": True, "state": "ok", "error": None,
    }  # fmt: skip
    assert daemon.status()["sockets"] == [row]


def test_access_counts_on_top_for_every_uid(home: Home) -> None:
    """On a socket for all tokens, the daemon's own user does not get what `access` gives to another."""
    write(home, table(tokens='"*"'))
    daemon = home.start().settled()
    assert daemon.get("/v1/tokens/hidden").status == 200
    assert statuses(home, "partner", "other", "hidden") == [200, 200, 404]


def test_a_reload_changes_what_open_connections_may_have(home: Home, daemon: Daemon) -> None:
    """A token that is taken away is gone for a connection that had it, and one that is given is there."""
    with connected(home) as connection:
        for _ in range(3):
            assert asked(connection, "/v1/tokens/partner")[0] == 200
        reloaded(home, table(tokens='"other"'))
        assert asked(connection, "/v1/tokens/partner")[0] == 404
        for _ in range(3):
            assert asked(connection, "/v1/tokens/other")[0] == 200
        assert [row["name"] for row in asked(connection, "/v1/tokens")[1]["tokens"]] == ["other"]
    assert daemon.process.poll() is None


def test_a_reload_adds_and_removes_sockets(home: Home, daemon: Daemon) -> None:
    """When the reload has ended, the new socket listens, and the old one's path is gone. The plan names both."""
    changed = table("run/new.sock", '"other"')
    # Not at the configuration's own place: the watcher of that file may be quicker than the command.
    more = home.path / "more.toml"
    home.save(more, home.text(PARTNER, OTHER, HIDDEN, WALLET, daemon=DAEMON + changed))
    planned = daemon.ask("POST", "/v1/reload?dry_run=true", {"path": str(more)}).json["plan"]
    assert {"name": f"[[sockets]] {home.path}/run/new.sock", "action": "add"} in planned
    assert {"name": f"[[sockets]] {home.path}/run/bot.sock", "action": "remove"} in planned
    with connected(home) as connection:
        assert asked(connection, "/v1/tokens/partner")[0] == 200
        write(home, changed)
        assert daemon.ask("POST", "/v1/reload").status == 200
        assert statuses(home, "partner", "other", path="run/new.sock") == [404, 200]
        assert not (home.path / "run/bot.sock").exists()
        with pytest.raises((http.client.HTTPException, OSError)):
            asked(connection, "/v1/tokens/partner")
    assert daemon.ask("POST", "/v1/reload").json["plan"] == []
    reloaded(home)
    assert not (home.path / "run/new.sock").exists()
    assert "sockets" not in daemon.status()


@as_root
def test_mode_owner_and_group_are_as_configured_and_a_reload_changes_them(home: Home, daemon: Daemon) -> None:
    """By default the daemon's owner and group, 0660."""
    path = home.path / "run/bot.sock"

    def found() -> tuple[int, int, int]:
        status = path.lstat()
        assert stat.S_ISSOCK(status.st_mode)
        return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid

    assert found() == (0o660, 0, 0)
    group = next(one for one in grp.getgrall() if one.gr_gid not in (0, os.getegid()))
    reloaded(home, table(more=f'mode = "0606"\nowner = "12345"\ngroup = "{group.gr_name}"'))
    assert found() == (0o606, 12345, group.gr_gid)
    assert statuses(home, "partner") == [200]
    daemon.end()
    assert not path.exists()


def test_a_socket_that_cannot_be_made_ends_nothing(home: Home) -> None:
    """Status and log say why; the others are served; it is made as soon as it can be."""
    blocker = home.path / "blocked"
    blocker.write_text("no socket")
    write(home, table("blocked"), table("run/bot.sock"))
    daemon = home.start().settled()
    assert statuses(home, "partner") == [200]
    failing, fine = daemon.status()["sockets"]
    assert (failing["state"], fine["state"]) == ("failing", "ok")
    assert "no socket" in failing["error"]
    assert str(blocker) in failing["error"]
    assert len(daemon.log("socket.failed")) == 1
    shown = home.run("status").stdout
    assert f"socket {blocker}: failing: {failing['error']}" in shown
    blocker.unlink()
    reloaded(home, table("blocked", '"other"'), table("run/bot.sock"))
    assert statuses(home, "other", path="blocked") == [200]


def test_a_socket_whose_path_was_taken_is_made_again(home: Home, daemon: Daemon) -> None:
    """As the daemon's own."""
    (home.path / "run/bot.sock").unlink()
    # Its name exists before it listens.
    until(lambda: statuses(home, "partner") == [200], "the socket")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(home.path / "run/bot.sock"))
    assert daemon.process.poll() is None


def test_a_client_program_reads_by_it(home: Home, daemon: Daemon) -> None:
    """`$TOKEND_SOCKET` is all that a container needs."""
    path: Path = home.path / "run/bot.sock"
    assert home.run("get", "partner", TOKEND_SOCKET=str(path)).stdout.strip() == daemon.lease("partner")["access_token"]
    assert home.run("get", "other", TOKEND_SOCKET=str(path)).returncode == 5
    assert home.run("reload", TOKEND_SOCKET=str(path)).returncode == 6
