"""The state sealed with a key: what a copy of the directory opens, what a change of the key costs, what is refused."""

import json
import signal
from pathlib import Path

import pytest

from tests.daemon.harness import Daemon, Home, until
from tests.daemon.tables import DAEMON, PARTNER, PX, TT
from tokend.state.sealing import MAGIC

KEYS = {"one": b"a-planted-fake-key-of-32-bytes-1", "two": b"a-planted-fake-key-of-32-bytes-2"}
ONE = DAEMON + 'state_key = { file = "s/one" }\n'
TWO = DAEMON + 'state_key = { file = "s/two" }\n'
FROM_ONE_TO_TWO = TWO + 'previous_state_key = { file = "s/one" }\n'
BACK = DAEMON + 'previous_state_key = { file = "s/one" }\n'
NAMES = ("px", "tt", "partner")


@pytest.fixture
def keyed(home: Home) -> Home:
    """A home with two keys, of bytes without a newline."""
    for name, key in KEYS.items():
        (home.path / "s" / name).write_bytes(key)
    return home


def leases(daemon: Daemon) -> dict[str, object]:
    return {name: daemon.lease(name) for name in NAMES}


def files(home: Home) -> dict[str, bytes]:
    """Every file of the state with a secret or a digest."""
    state = home.path / "state"
    found = [*state.glob("tokens/*"), *state.glob("sinks/*"), *state.glob("salt*"), *state.glob("index")]
    return {str(path.relative_to(state)): path.read_bytes() for path in found}


def is_sealed(content: bytes) -> bool:
    return content.startswith(MAGIC)


def rewritten(daemon: Daemon, times: int) -> None:
    """Wait until all files have the form of now, after READY."""
    until(lambda: len(daemon.log("state.rewritten")) == times, "the form of now")


def are_sealed(home: Home) -> bool:
    return all(map(is_sealed, files(home).values()))


def state(daemon: Daemon) -> dict[str, object]:
    return dict(daemon.status()["state"])


def codes(daemon: Daemon) -> list[str]:
    return [one["code"] for one in daemon.status()["state"]["warnings"]]


def test_a_first_a_new_and_no_key_cost_no_request_and_withdraw_nothing(keyed: Home) -> None:
    """The salt of all digests stays: the same tokens from the first moment on, over four changes of the key."""
    keyed.write(PX, TT, PARTNER)
    daemon = keyed.start().settled()
    before, salt = leases(daemon), (keyed.path / "state/salt").read_bytes()
    outputs = {path.name: path.stat().st_ino for path in keyed.path.glob("out/*")}
    assert (state(daemon)["sealed"], codes(daemon)) == (False, ["state_in_clear"])
    for command in ("status", "doctor"):
        assert "state is in clear" in keyed.run(command).stdout
    for times, table in enumerate((ONE, FROM_ONE_TO_TWO, TWO), start=1):
        daemon.end()
        keyed.write(PX, TT, PARTNER, daemon=table)
        daemon = keyed.start()
        assert leases(daemon) == before
        rewritten(daemon, min(times, 2))
        assert are_sealed(keyed)
        assert len(files(keyed)) == 5
        daemon.settled()
        assert state(daemon) == {"sealed": True, "warnings": []}
    daemon.end()
    (keyed.path / "s/one").write_bytes(KEYS["two"])
    keyed.write(PX, TT, PARTNER, daemon=BACK)
    daemon = keyed.start()
    assert leases(daemon) == before
    rewritten(daemon, 3)
    clear = files(keyed)
    assert not any(map(is_sealed, clear.values()))
    assert clear["salt"] == salt
    assert "index" not in clear
    daemon.settled()
    assert (keyed.requests("projectx"), keyed.requests("tt")) == (1, 1)
    assert {path.name: path.stat().st_ino for path in keyed.path.glob("out/*")} == outputs
    assert not daemon.log("token.withdrawn") + daemon.log("state.damaged") + daemon.log("state.doubtful")
    daemon.end()
    # The numbers begin again with a later key: nothing went back.
    keyed.write(PX, TT, PARTNER, daemon=ONE)
    daemon = keyed.start()
    rewritten(daemon, 4)
    assert leases(daemon) == before
    assert codes(daemon) == []
    daemon.end()


def test_a_copy_of_the_directory_holds_neither_a_token_nor_the_salt(keyed: Home) -> None:
    """Also after a kill, and in the marks."""
    keyed.write(PX, TT, PARTNER, daemon=ONE)
    daemon = keyed.start().settled()
    tokens = [str(daemon.lease(name)["access_token"]).encode() for name in NAMES]
    until(lambda: "index" in files(keyed), "an index")
    daemon.end(signal.SIGKILL)
    assert are_sealed(keyed)
    copied = b"".join(path.read_bytes() for path in (keyed.path / "state").rglob("*") if path.is_file())
    assert not [token for token in tokens if token in copied]
    assert KEYS["one"] not in copied
    assert not [path for path in (keyed.path / "state").rglob("*") if path.is_file() and path.stat().st_mode & 0o77]
    again = keyed.start().settled()
    assert keyed.requests("projectx") == 1
    assert (state(again)["sealed"], codes(again)) == (True, [])
    shown = [keyed.run(command).stdout for command in ("status", "doctor")]
    assert not [text for text in shown if "in clear" in text]
    assert not [text for text in (*shown, keyed.log.read_text()) if KEYS["one"].decode() in text]


def test_a_check_without_the_unit_s_key_sends_nothing_for_a_record_that_it_cannot_open(keyed: Home) -> None:
    """In a shell there are none: the initial login must not be used in place of the one in the record."""
    (keyed.path / "c").mkdir(mode=0o700)
    (keyed.path / "c/tokend-state-key").write_bytes(KEYS["one"])
    keyed.write(PX, daemon=DAEMON + 'state_key = { credential = "tokend-state-key" }\n')
    keyed.start(CREDENTIALS_DIRECTORY=str(keyed.path / "c")).settled().end()
    kept = files(keyed)
    done = keyed.run("check", "--try-all", str(keyed.config))
    assert "set state_key" in done.stdout + done.stderr
    assert "these attempts are not saved" in done.stdout + done.stderr
    assert keyed.requests("projectx") == 1
    assert files(keyed) == kept
    with_key = keyed.run("check", "--try-all", str(keyed.config), CREDENTIALS_DIRECTORY=str(keyed.path / "c"))
    assert with_key.returncode == 0, with_key
    assert keyed.requests("projectx") == 2


@pytest.mark.parametrize("table", [TWO, DAEMON])
def test_a_wrong_key_and_no_key_send_nothing_and_lose_nothing(keyed: Home, table: str) -> None:
    """Each provider with a record is pending, class store, until the key is back; one without a record works."""
    keyed.write(PX, TT, daemon=ONE)
    keyed.start().settled().end()
    before, kept = keyed.requests("projectx"), files(keyed)
    keyed.write(PX, TT, PARTNER, daemon=table)
    daemon = keyed.start()
    until(lambda: daemon.row("partner")["valid"], "the provider without a record")
    until(lambda: (daemon.row("px")["last_error"] or {}).get("class") == "store", "the class")
    row = daemon.row("px")
    assert (row["state"], row["valid"], row["next_attempt_at"]) == ("pending", False, None)
    assert "previous_state_key" in row["last_error"]["detail"] or "set state_key" in row["last_error"]["detail"]
    answer = daemon.get("/v1/tokens/px")
    assert (answer.status, answer.json["code"]) == (503, "token_unavailable")
    assert daemon.ask("POST", "/v1/tokens/px/refresh").status == 503
    assert "state_unopened" in codes(daemon)
    assert [warning for warning in daemon.status()["state"]["warnings"] if "state of px" in warning["message"]]
    daemon.end()
    left = files(keyed)
    assert {name: left[name] for name in kept if name != "index"} == {
        name: kept[name] for name in kept if name != "index"
    }
    assert keyed.requests("projectx") == before == keyed.requests("tt")
    keyed.write(PX, TT, daemon=ONE)
    again = keyed.start().settled()
    assert again.row("px")["valid"]
    assert keyed.requests("projectx") == before


def test_forget_begins_with_nothing_where_a_key_is_lost(keyed: Home) -> None:
    """Only that provider's record is set aside, and only by an admin."""
    keyed.write(PX, PARTNER, daemon=ONE)
    keyed.start().settled().end()
    keyed.write(PX, PARTNER, daemon=TWO)
    daemon = keyed.start()
    until(lambda: (daemon.row("partner")["last_error"] or {}).get("class") == "store", "the class")
    sealed = files(keyed)["tokens/partner.json"]
    assert keyed.run("forget", "partner").returncode == 0
    until(lambda: daemon.row("partner")["valid"], "a new token")
    assert not daemon.row("px")["valid"]
    assert files(keyed)["tokens/partner.damaged"] == sealed
    daemon.end()
    # With both keys all of it opens: nothing was overwritten.
    keyed.write(PX, PARTNER, daemon=FROM_ONE_TO_TWO)
    again = keyed.start()
    assert again.row("px")["valid"]
    assert keyed.requests("projectx") == 1
    until(lambda: again.row("partner")["valid"], "its token, of another salt: it is made again")
    assert codes(again) == []


def test_a_record_under_another_name_or_put_back_alone_is_refused(keyed: Home) -> None:
    """Each of them stays where it is; the others are used."""
    keyed.write(PX, TT, PARTNER, daemon=ONE)
    daemon = keyed.start().settled()
    tokens = keyed.path / "state/tokens"
    old, generation = (tokens / "partner.json").read_bytes(), daemon.lease("partner")["generation"]
    assert daemon.ask("POST", "/v1/tokens/partner/forget").status == 200
    until(lambda: daemon.lease("partner")["generation"] > generation, "a newer one")
    daemon.end()
    new = (tokens / "partner.json").read_bytes()
    (tokens / "partner.json").write_bytes(old)
    (tokens / "tt.json").write_bytes((tokens / "px.json").read_bytes())
    again = keyed.start()
    until(lambda: {(again.row(name)["last_error"] or {}).get("class") for name in ("partner", "tt")} == {"store"})
    assert "it was put back" in again.row("partner")["last_error"]["detail"]
    assert "another name" in again.row("tt")["last_error"]["detail"]
    assert again.row("px")["valid"]
    assert (tokens / "partner.json").read_bytes() == old
    again.end()
    (tokens / "partner.json").write_bytes(new)
    assert keyed.start().row("partner")["valid"]
    assert keyed.requests("tt") == 1


def test_a_record_in_clear_in_a_sealed_state_is_refused(keyed: Home) -> None:
    """A copy from before the first key, or one that somebody wrote."""
    keyed.write(PX)
    keyed.start().settled().end()
    path = keyed.path / "state/tokens/px.json"
    old = path.read_bytes()
    assert json.loads(old)["name"] == "px"
    keyed.write(PX, daemon=ONE)
    keyed.start().settled()
    until(lambda: are_sealed(keyed), "all sealed")
    keyed.daemons[-1].end()
    path.write_bytes(old)
    daemon = keyed.start()
    until(lambda: "in clear" in (daemon.row("px")["last_error"] or {}).get("detail", ""), "the reason")
    assert path.read_bytes() == old


def test_within_one_boot_a_state_that_went_back_is_reported(keyed: Home) -> None:
    """A copy of the whole directory opens, and is used: the status says that it is old."""
    keyed.write(PARTNER, daemon=ONE)
    keyed.start().settled().end()
    copy = {path: path.read_bytes() for path in (keyed.path / "state").rglob("*") if path.is_file()}
    daemon = keyed.start().settled()
    assert codes(daemon) == []
    generation = daemon.lease("partner")["generation"]
    assert daemon.ask("POST", "/v1/tokens/partner/forget").status == 200
    until(lambda: daemon.lease("partner")["generation"] > generation, "a newer one")
    daemon.end()
    for path, content in copy.items():
        path.write_bytes(content)
    daemon = keyed.start()
    assert codes(daemon) == ["state_went_back"]
    assert daemon.log("state.doubtful")
    assert "went back" in keyed.run("status").stdout
    assert "went back" in keyed.run("doctor", str(keyed.config)).stdout


def test_a_key_that_cannot_be_read_ends_the_start_with_78(keyed: Home) -> None:
    """With or without systemd; nothing of the state is touched. A key of another length is an error with a place."""
    keyed.write(PX, daemon=ONE)
    keyed.start().settled().end()
    kept = files(keyed)
    (keyed.path / "s/one").unlink()
    done = keyed.run("run", "--config", str(keyed.config))
    assert done.returncode == 78
    assert "state_key: file (not shown) cannot be read" in done.stderr
    assert keyed.run("run", "--once", "--config", str(keyed.config)).returncode == 78
    for wrong in (b"short", b"x" * 33, b"y" * 64):
        (keyed.path / "s/one").write_bytes(wrong)
        done = keyed.run("run", "--config", str(keyed.config))
        assert done.returncode == 2
        assert "state_key: " in done.stderr
        assert f"has {len(wrong)} bytes" in done.stderr
        assert wrong.decode() not in done.stderr.replace("shorter", "")
        assert keyed.run("check", str(keyed.config)).returncode == 2
    assert files(keyed) == kept


def test_another_key_counts_after_a_restart(keyed: Home) -> None:
    """A reload says so, and goes on with the key of the start."""
    keyed.write(PX, daemon=ONE)
    daemon = keyed.start().settled()
    keyed.write(PX, daemon=TWO)
    assert "restart needed" in keyed.run("reload").stdout + "".join(daemon.log("config.restart_needed"))
    daemon.end()
    keyed.write(PX, daemon=ONE)
    assert keyed.start().row("px")["valid"]


def test_the_state_in_memory_is_sealed_too(keyed: Home) -> None:
    """Over a restart and a new key: the same token, and none of it in the memory that systemd keeps."""
    memory = 'state = "fdstore"\n'
    keyed.write(PX, daemon=ONE + memory)
    first = keyed.start().settled()
    before = first.lease("px")
    first.end()
    ((_, kept),) = first.stored
    content = Path(f"/proc/self/fd/{kept}").read_bytes()
    assert MAGIC in content
    assert str(before["access_token"]).encode() not in content
    keyed.write(PX, daemon=FROM_ONE_TO_TWO + memory)
    second = keyed.start(passing=first.stored)
    assert second.lease("px") == before
    until(lambda: second.log("state.rewritten"), "the new key")
    second.end(signal.SIGKILL)
    keyed.write(PX, daemon=TWO + memory)
    assert keyed.start(passing=first.stored).lease("px") == before
    assert keyed.requests("projectx") == 1
