"""The sink kind `socket` and credentials.sock, of the real daemon."""

import os
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.credentials.server import STRANGER, as_root, connected, everything, given, given_to, is_refusal
from tests.daemon.harness import Daemon, Home, at_home, until
from tests.daemon.tables import DAEMON, PARTNER, PX
from tests.sinks.leases import PLANTED, lease
from tokend.plugin.settings_base import LONGEST_SOCKET_BYTES
from tokend.sinks.socket import SocketSink

SINK = '\n[[providers.{name}.sinks]]\nkind = "socket"\npath = "out/token.sock"\n'
CREDENTIALS = DAEMON + 'credentials_socket = "run/credentials.sock"\n'
PX_ALONE = PX.partition("[[")[0]


@pytest.fixture
def home() -> Iterator[Home]:
    """A home that everybody can reach."""
    with at_home() as one:
        one.path.chmod(0o755)
        yield one


def partner(*, access: str = "", keys: str = "") -> str:
    """The partner with a socket; ``access`` and ``keys`` are TOML."""
    table = PARTNER.partition("[[")[0]
    return table + access.replace("{", "{{").replace("}", "}}") + SINK.replace("{name}", "partner") + keys


def the_sink(daemon: Daemon, name: str = "partner") -> dict[str, object]:
    return dict(daemon.row(name)["sinks"][-1])


def test_each_client_is_sent_the_token(home: Home) -> None:
    """With the mode of its file; status says that it listens; at the end the path is gone."""
    daemon = home.start(partner())
    until(lambda: the_sink(daemon)["state"] == "ok")
    path = home.out("token.sock")
    assert given(path).decode() == daemon.lease("partner")["access_token"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert the_sink(daemon)["kind"] == "socket"
    assert the_sink(daemon)["path"] == str(path)
    daemon.settled()
    assert daemon.end() == 0
    assert not path.exists()


def test_a_socket_that_somebody_removes_is_made_again(home: Home) -> None:
    """Within 15 s, as a file; counted and logged."""
    daemon = home.start(partner()).settled()
    home.out("token.sock").unlink()
    until(lambda: the_sink(daemon)["repairs"] == 1, "the repair", seconds=15)
    assert given(home.out("token.sock")).decode() == daemon.lease("partner")["access_token"]
    assert len(daemon.log("sink.repaired")) == 1


def test_a_token_that_is_not_there_yet_is_waited_for(home: Home) -> None:
    """The upstream is away at first; the client has nothing to do."""
    home.secret("px-key", "wrong")
    daemon = home.start(PX_ALONE + SINK.replace("{name}", "px"))
    path = home.out("token.sock")
    until(path.exists)
    with connected(path) as patient:
        until(lambda: daemon.row("px")["state"] == "rejected")
        home.secret("px-key", "sandbox-projectx-key")
        assert everything(patient).decode() == daemon.lease("px")["access_token"]


@as_root
def test_access_decides_and_the_mode_lets_in(home: Home) -> None:
    """The provider's access, as on tokend.sock; root always passes."""
    access = f'access = {{ users = ["{STRANGER}"] }}\n'
    daemon = home.start(partner(access=access, keys='mode = "0666"\n'))
    token = str(until(lambda: daemon.lease("partner")["access_token"]))
    path = home.out("token.sock")
    until(path.exists)
    assert given(path).decode() == token
    assert given_to(STRANGER, path) == (len(token), token)
    assert given_to(STRANGER + 1, path) == (0, "")
    until(lambda: daemon.log("client.denied"))


@as_root
def test_owner_and_group_are_set(home: Home) -> None:
    """By number here; and what a crash leaves behind with that owner is no obstacle."""
    daemon = home.start(partner(keys=f'owner = "{STRANGER}"\ngroup = "{STRANGER + 1}"\nmode = "0640"\n'))
    path = home.out("token.sock")
    until(lambda: the_sink(daemon)["state"] == "ok")
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (STRANGER, STRANGER + 1, 0o640)
    assert given_to(STRANGER, path)[0] > 0
    daemon.process.kill()
    daemon.process.wait()
    assert path.exists()
    again = home.start()
    until(lambda: the_sink(again)["state"] == "ok")
    assert path.stat().st_uid == STRANGER
    assert given(path)


@pytest.mark.parametrize(
    "keys", ['owner = "no-such-user"\n', 'group = "no-such-group"\n', 'path = "nowhere/token.sock"\n']
)
def test_what_cannot_listen_is_failing_and_says_why(home: Home, keys: str) -> None:
    """A name that the machine does not know, a directory that is missing; the token itself is served on."""
    text = partner(keys=keys) if "path" not in keys else partner().replace('path = "out/token.sock"\n', keys)
    daemon = home.start(text)
    sink = until(lambda: the_sink(daemon) if the_sink(daemon)["state"] == "failing" else None)
    assert any(name in str(sink["error"]) for name in ("no-such-user", "no-such-group", "nowhere does not exist"))
    assert daemon.get("/readyz").status == 503
    assert until(lambda: daemon.lease("partner"))
    if "nowhere" in keys:
        (home.path / "nowhere").mkdir()
        until(lambda: the_sink(daemon)["state"] == "ok")


def test_somebody_elses_file_is_left_alone(home: Home) -> None:
    """What is no socket stays as it is."""
    home.out("token.sock").write_text("precious")
    daemon = home.start(partner())
    until(lambda: "is no socket" in str(the_sink(daemon)["error"]))
    assert daemon.end() == 0
    assert home.out("token.sock").read_text() == "precious"


def test_a_reload_leaves_an_unchanged_socket_alone_and_takes_a_removed_one_away(home: Home) -> None:
    """A waiting client goes on waiting; a changed socket is made again; a removed one leaves no path behind."""
    home.secret("px-key", "wrong")
    daemon = home.start(PX_ALONE + SINK.replace("{name}", "px"))
    path = home.out("token.sock")
    until(path.exists)
    inode = path.stat().st_ino
    with connected(path) as patient:
        home.write(PX_ALONE + 'refresh_before = "10%"\n' + SINK.replace("{name}", "px"), PARTNER)
        daemon.ask("POST", "/v1/reload")
        assert path.stat().st_ino == inode
        home.secret("px-key", "sandbox-projectx-key")
        assert everything(patient).decode() == daemon.lease("px")["access_token"]
    home.write(PX_ALONE + SINK.replace("{name}", "px") + 'mode = "0660"\n')
    daemon.ask("POST", "/v1/reload")
    until(lambda: stat.S_IMODE(path.stat().st_mode) == 0o660)
    assert given(path)
    home.write(PX_ALONE)
    daemon.ask("POST", "/v1/reload")
    until(lambda: not path.exists())


def credentials(unit: str, name: str) -> bytes:
    return f"\0{os.getpid():x}/unit/{unit}/{name}".encode()


def test_units_get_tokens_as_credentials(home: Home) -> None:
    """credentials.sock: those of access.units, which a reload may change; nobody else, and never nothing."""
    units = 'access = {{ units = ["bot.service"] }}\n'
    home.write(PARTNER.partition("[[")[0] + units, daemon=CREDENTIALS)
    daemon = home.start()
    path = home.path / "run" / "credentials.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert given(path, credentials("bot.service", "partner")).decode() == daemon.lease("partner")["access_token"]
    assert is_refusal(given(path, credentials("other.service", "partner")))
    assert given(path) == b""  # no unit asks: closed without data
    home.write(PARTNER.partition("[[")[0] + units.replace("bot", "other"), daemon=CREDENTIALS)
    assert daemon.ask("POST", "/v1/reload").status == 200
    assert is_refusal(given(path, credentials("bot.service", "partner")))
    assert given(path, credentials("other.service", "partner"))
    home.write(PARTNER.partition("[[")[0])
    daemon.ask("POST", "/v1/reload")  # or the watch was faster
    assert "credentials_socket" in until(lambda: daemon.log("config.restart_needed"))[0]
    assert daemon.end() == 0
    assert not path.exists()


def test_a_stop_refuses_the_units_that_wait(home: Home) -> None:
    """An empty close would start them with an empty credential."""
    home.secret("px-key", "wrong")
    home.write(PX_ALONE + 'access = {{ units = ["*"] }}\n', daemon=CREDENTIALS)
    daemon = home.start()
    clients = [connected(home.path / "run" / "credentials.sock", credentials(f"u{n}.service", "px")) for n in range(3)]
    for client in clients:
        client.shutdown(socket.SHUT_WR)
    until(lambda: daemon.row("px")["state"] == "rejected")
    with ThreadPoolExecutor(3) as readers:
        got = [readers.submit(everything, client) for client in clients]
        assert daemon.end() == 0
    assert [is_refusal(one.result()) for one in got] == [True] * 3


def test_a_place_that_is_taken_is_reported_and_taken_when_it_is_free(home: Home) -> None:
    """The file of another stays; units that ask for their credential wait for the socket."""
    (home.path / "run").mkdir()
    (home.path / "run" / "credentials.sock").write_text("precious")
    home.write(PARTNER, daemon=CREDENTIALS)
    daemon = home.start()
    (row,) = [row for row in daemon.status()["listeners"] if row["name"] == "credentials"]
    assert "credentials.sock exists and is no socket" in row["error"]
    assert (home.path / "run" / "credentials.sock").read_text() == "precious"
    (home.path / "run" / "credentials.sock").unlink()
    until((home.path / "run" / "credentials.sock").is_socket, "the socket")


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("mode", "600"), ("mode", 600), ("owner", ""), ("group", "4294967295"), ("symlink", "follow"),
        ("on_change", ["/bin/true"]), ("path", "/" + "x" * LONGEST_SOCKET_BYTES), ("newline", True),
    ],
)  # fmt: skip
def test_a_wrong_key_is_an_error_of_the_configuration(key: str, wrong: object) -> None:
    """Those of files that mean nothing here, too."""
    with pytest.raises(ValidationError) as refused:
        SocketSink.model_validate({"kind": "socket", "path": "/run/x.sock", key: wrong})
    assert len(refused.value.errors()) == 1


def test_what_it_offers_is_exactly_the_token() -> None:
    """And nothing that is said of the sink holds it."""
    sink = SocketSink(path=Path("/run/x.sock"))
    assert sink.offer(lease()) == PLANTED.encode()
    assert sink.target == "/run/x.sock"
