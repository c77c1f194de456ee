"""`tokend login` on a terminal: browser, paste, device; what it shows, how it ends, and who may disturb it."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.login.logging_in import NEUTRAL, Logging, browse, command
from tests.cli.running import environment, eventually, tokend
from tests.httpd.served import Served
from tokend.values.errors import LoginRequiredError, NotSupportedError, ThrottledError, TokenUnavailableError

GOOD = "?code=fake-code&state=fake-state"
SSH = "198.51.100.7 50022 203.0.113.5 22"


def opener(directory: Path) -> tuple[str, Path]:
    """A browser that only writes down what it was started with."""
    log, made = directory / "opened", directory / "a-browser"
    made.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {log}\n')
    made.chmod(0o755)
    return str(made), log


def test_a_browser_on_this_machine_finishes_the_login(logins: Logging, tmp_path: Path) -> None:
    """It is started, and at the end shown a page; the command says who was logged in."""
    browser, log = opener(tmp_path)
    with logins.login(DISPLAY=":0", BROWSER=browser) as running:
        running.shows("A browser was started. If it does not show up, open\n\nhttps://login.example/authorize?")
        address = running.listening_at
        assert eventually(log.exists)
        assert eventually(lambda: log.read_text() == "https://login.example/authorize?state=fake-state\n")
        assert "ssh" not in running.shown
        status, page = browse(address + GOOD)
        assert (status, "You are logged in" in page) == (200, True)
        assert running.ends() == 0
        assert running.shown.endswith("demo: logged in as alice\n")
    assert logins.server.engine.calls == [
        ("begin login", "demo", "browser", address, False),
        ("finish login", "demo", "L" * 32, address + GOOD),
    ]


def test_over_ssh_the_device_flow_is_chosen(logins: Logging) -> None:
    """Address, code and a QR code; the daemon asks the server, the command only waits."""
    with logins.login(SSH_CONNECTION=SSH) as running:
        running.shows("tokend waits until that is done.")
        assert "On any device, open\n  https://login.example/device\nand enter the code\n  " in running.shown
        assert "ABCD" in running.shown
        assert "█" in running.shown
        logins.end("done", subject="alice")
        assert running.ends() == 0
    assert logins.server.engine.calls == [("begin login", "demo", "device", None, False)]


def test_a_server_without_device_codes_gets_a_browser_over_ssh_with_the_line_for_it(logins: Logging) -> None:
    """No browser is started at this end."""
    logins.server.engine.raises = NotSupportedError("demo: there is no login by device")
    with logins.login(SSH_CONNECTION=SSH, DISPLAY=":10") as running:
        address = running.listening_at
        port = address.rpartition(":")[2].strip("/")
        assert running.shown.startswith("In a browser, open\n")
        assert re.search(rf"ssh -N -L {port}:127\.0\.0\.1:{port} \S+@203\.0\.113\.5\n", running.shown)
        browse(address + GOOD)
        assert running.ends() == 0


def test_a_server_without_browsers_gets_a_device_code(logins: Logging) -> None:
    """What the person prefers is tried first."""
    logins.server.engine.raises = NotSupportedError("demo: there is no login by browser")
    with logins.login(DISPLAY=":0") as running:
        running.shows("enter the code")
        logins.end("done")
        assert running.ends() == 0
        assert running.shown.endswith("demo: logged in\n")


def test_the_address_may_be_pasted_at_any_time_with_text_around_it(logins: Logging) -> None:
    """Also while the command listens; what is no address is said to be none."""
    with logins.login("--browser") as running:
        address = running.listening_at
        running.types("hello?\n")
        running.shows("there is no address in that")
        running.types(f"it said: <{address}{GOOD}>.\n")
        assert running.ends() == 0
    assert logins.server.engine.calls[-1] == ("finish login", "demo", "L" * 32, address + GOOD)


def test_paste_listens_at_no_port(logins: Logging) -> None:
    """The configured redirect is used."""
    with logins.login("--paste") as running:
        running.shows("paste it here")
        assert "waits for the browser" not in running.shown
        running.types(f"http://127.0.0.1/{GOOD}\n")
        assert running.ends() == 0
    assert logins.server.engine.calls[0] == ("begin login", "demo", "browser", None, False)


def test_strangers_change_nothing(logins: Logging) -> None:
    """Other paths, other hosts, a wrong state, twice, by browser and by paste: the login goes on and ends well."""
    logins.refuse_wrong_states()
    with logins.login("--browser") as running:
        address = running.listening_at
        assert browse(address + "favicon.ico")[0] == 404
        for _ in range(2):
            status, page = browse(address + "?code=stolen&state=wrong")
            assert (status, "no address of the login under way" in page) == (400, True)
        running.shows("it goes on")
        running.types(f"{address}?code=stolen&state=wrong\n")
        assert browse(address + GOOD)[0] == 200
        assert running.ends() == 0


def test_a_login_that_the_server_refuses_ends_with_4(logins: Logging) -> None:
    """The reason is shown, and the browser is referred to the terminal."""
    with logins.login("--browser") as running:
        address = running.listening_at
        finish = logins.server.engine.logins.finish

        async def refuse(name: str, login_id: str, *, uid: int, redirected_to: str) -> object:
            session = logins.server.engine.logins.find(name, login_id, uid=uid)
            session.end("failed", error="login.example: access_denied")
            return session

        assert finish is not None
        logins.server.engine.logins.finish = refuse  # type: ignore[method-assign, assignment]
        status, page = browse(address + "?error=access_denied&state=fake-state")
        assert (status, "The terminal says why" in page) == (400, True)
        assert running.ends() == 4
        assert "tokend: demo: the login has failed: login.example: access_denied\n" in running.shown


def test_a_server_that_is_away_is_asked_again_with_the_same_address(
    logins: Logging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person need not do it again."""
    with logins.login("--browser") as running:
        address = running.listening_at
        logins.server.engine.raises = TokenUnavailableError("login.example: no connection")
        status, _ = browse(address + GOOD)
        assert status == 202
        assert running.ends() == 0
        assert "login.example: no connection; tokend tries again" in running.shown
    assert [call[0] for call in logins.server.engine.calls] == ["begin login", "finish login", "finish login"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_cancels_the_login(logins: Logging, number: signal.Signals, code: int) -> None:
    """Ctrl-C is 130: nothing is left of it, and another login may begin."""
    with logins.login("--browser") as running:
        assert running.listening_at
        running.process.send_signal(number)
        assert running.ends() == code
    assert (logins.session.state, logins.session.error) == ("failed", "it was cancelled")


def test_ctrl_c_while_the_login_is_being_begun_cancels_it_when_it_has_begun(logins: Logging) -> None:
    """Otherwise nobody could log in for ten minutes. A second one does not wait."""
    engine = logins.server.engine
    logins.server.inside(lambda: setattr(engine, "gate", asyncio.Event()))
    gate = engine.gate
    assert gate is not None
    with logins.login("--browser") as running:
        assert eventually(lambda: bool(engine.calls))
        running.process.send_signal(signal.SIGINT)
        running.shows("as soon as tokend answers")
        logins.server.inside(gate.set)
        assert running.ends() == 130
    assert logins.session.error == "it was cancelled"
    logins.server.inside(gate.clear)
    engine.calls.clear()
    with logins.login("--browser") as running:
        assert eventually(lambda: bool(engine.calls))
        running.process.send_signal(signal.SIGINT)
        running.shows("as soon as tokend answers")
        running.process.send_signal(signal.SIGINT)
        assert running.ends() == 130
    logins.server.inside(gate.set)


def test_the_time_of_a_login_is_limited(logins: Logging) -> None:
    """124, and the login is cancelled."""
    with logins.login("--browser", "--timeout", "1s") as running:
        assert running.ends() == 124
        assert "was not finished in time" in running.shown
    assert logins.session.error == "it was cancelled"


def test_a_login_that_expires_at_the_daemon_ends_with_124(logins: Logging) -> None:
    """The server's own end may be earlier."""
    with logins.login("--device") as running:
        running.shows("enter the code")
        logins.end("expired", error="it was not finished in time: begin again")
        assert running.ends() == 124


def test_a_daemon_that_was_started_again_knows_the_login_no_more(logins: Logging) -> None:
    """Exit code 3, and what to do."""
    with logins.login("--device") as running:
        running.shows("enter the code")
        logins.server.inside(lambda: setattr(logins.server.engine.logins, "session", None))
        assert running.ends() == 3
        assert "begin again" in running.shown


def test_json_is_for_programs(logins: Logging) -> None:
    """A line when it has begun, a line when it has ended; nothing else on standard output."""
    with subprocess.Popen(
        [sys.executable, "-m", "tokend", "login", "demo", "--device", "-o", "json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment(**NEUTRAL, TOKEND_SOCKET=str(logins.server.path)),
    ) as process:
        assert process.stdout is not None
        begun = json.loads(process.stdout.readline())
        assert (begun["flow"], begun["user_code"]) == ("device", "ABCD")
        logins.end("done", subject="alice")
        ended = json.loads(process.stdout.readline())
        assert (ended["state"], ended["subject"]) == ("done", "alice")
        assert process.stdout.read() == b""
    assert process.returncode == 0


def run(server: Served, *arguments: str, **environ: str) -> tuple[int, str]:
    """Run the command without a terminal, to its end."""
    done = tokend("login", *arguments, TOKEND_SOCKET=str(server.path), **{**NEUTRAL, **environ})
    return done.code, done.out + done.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LoginRequiredError("login.example: invalid_client"), 4),
        (ThrottledError("a login of demo is under way already"), 7),
        (TokenUnavailableError("login.example: no connection"), 7),
        (NotSupportedError("demo: there is no login by device"), 2),
    ],
)
def test_a_login_that_does_not_begin_has_the_code_of_its_reason(logins: Logging, error: Exception, code: int) -> None:
    """As every command."""
    logins.server.engine.raises = error
    assert run(logins.server, "demo", "--device") == (code, f"tokend: {error}\n")


def test_wrong_usage_ends_before_anything_is_begun(logins: Logging, tmp_path: Path) -> None:
    """2; an unknown token is 5, a daemon that is away 3."""
    assert run(logins.server)[0] == 2
    assert run(logins.server, "demo", "--timeout", "soon")[0] == 2
    assert run(logins.server, "nosuch")[0] == 5
    assert run(logins.server, "wallet")[0] == 2
    done = tokend("login", "demo", TOKEND_SOCKET=str(tmp_path / "none.sock"))
    assert done.code == 3
    assert logins.server.engine.calls == []


def test_a_closed_standard_input_and_no_listener_is_no_way_to_log_in(logins: Logging) -> None:
    """The command says so instead of waiting."""
    code, text = run(logins.server, "demo", "--paste")
    assert (code, "standard input is closed" in text) == (2, True)
    assert logins.session.error == "it was cancelled"


@pytest.mark.parametrize("way", ["--browser", "--device"])
def test_an_address_that_nobody_should_be_shown_ends_the_login(
    logins: Logging, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Neither in text nor to a browser; the login is cancelled."""
    for name in ("BROWSER_URL", "DEVICE_URL"):
        monkeypatch.setattr(f"tests.api.fake_logins.{name}", "http://evil.example/\x1b[2J")
    code, text = run(logins.server, "demo", way, DISPLAY=":0")
    assert (code, "evil" in text) == (4, False)
    assert logins.session.error == "it was cancelled"


def test_sudo_and_no_open_start_no_browser(logins: Logging, tmp_path: Path) -> None:
    """A browser as root is nobody's."""
    browser, log = opener(tmp_path)
    for arguments, environ in (((), {"SUDO_UID": "1000"}), (("--no-open",), {})):
        with logins.login("--browser", *arguments, DISPLAY=":0", BROWSER=browser, **environ) as running:
            address = running.listening_at
            assert running.shown.startswith("In a browser, open\n")
            browse(address + GOOD)
            assert running.ends() == 0
    assert not log.exists()


def test_another_account_is_asked_for_by_its_option(logins: Logging) -> None:
    """The daemon decides."""
    with logins.login("--device", "--other-account") as running:
        running.shows("enter the code")
        logins.end("done")
        assert running.ends() == 0
    assert logins.server.engine.calls == [("begin login", "demo", "device", None, True)]


def test_the_command_is_completed_and_explained(logins: Logging) -> None:
    """In the overview, too."""
    with command(logins.server.path, "login", "--help") as running:
        assert running.ends() == 0
        assert "--other-account" in running.shown
