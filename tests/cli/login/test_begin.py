"""The begin of a login: where the browser ends decides how its end is noticed."""

import re
import socket

import pytest

from tests.cli.login.logging_in import Logging
from tests.daemon.harness import loopback_address
from tokend.cli.login.begin import Choice, PasteOnlyError, begin
from tokend.cli.login.requests import LoginRequests
from tokend.client import TokenClient

QUIET = Choice("browser", opens=False, says=False)


@pytest.fixture
def requests(logins: Logging) -> LoginRequests:
    return LoginRequests(TokenClient(str(logins.server.path)), "demo", other_account=False)


def configured(logins: Logging, monkeypatch: pytest.MonkeyPatch, redirect_uri: str) -> None:
    """Let the daemon use a redirect of the configuration instead of the proposed one."""
    fake = logins.server.engine.logins
    start = fake.begin

    async def begin_there(name: str, **more: object) -> object:
        more["redirect_uri"] = redirect_uri
        return await start(name, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(fake, "begin", begin_there)


def test_the_proposed_address_is_listened_at(logins: Logging, requests: LoginRequests) -> None:
    """And no longer than the block."""

    def is_free_again() -> bool:
        with begin(requests, QUIET, {}) as begun:
            assert begun.listener is not None
            assert begun.redirect_uri == begun.listener.proposal
            port = begun.listener.port
            socket.create_connection(("127.0.0.1", port)).close()
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return True
        return False

    assert any(is_free_again() for _ in range(3))  # another program may have the port at once


def test_a_redirect_to_another_machine_is_pasted(
    logins: Logging, requests: LoginRequests, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing listens here."""
    configured(logins, monkeypatch, "https://app.example/callback")
    with begin(requests, Choice("browser", opens=True, says=True), {"DISPLAY": ":0"}) as begun:
        assert begun.listener is None
    assert "At the end the browser is at https://app.example/callback…" in capfd.readouterr().out


def test_a_port_that_another_program_has_is_said_and_the_address_pasted(
    logins: Logging, requests: LoginRequests, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The login need not fail for that."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"http://127.0.0.1:{other.getsockname()[1]}/"
        configured(logins, monkeypatch, address)
        with begin(requests, Choice("browser", opens=True, says=True), {}) as begun:
            assert begun.listener is None
    shown = capfd.readouterr()
    assert f"cannot listen at {address}: Address already in use" in shown.err
    assert "paste it here" in shown.out


def test_https_on_this_machine_has_a_certificate_whose_print_is_shown(
    logins: Logging, requests: LoginRequests, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """So that the browser's warning can be compared."""
    address = f"https://{loopback_address()}/cb"
    configured(logins, monkeypatch, address)
    with begin(requests, Choice("browser", opens=True, says=True), {}) as begun:
        assert begun.listener is not None
        assert begun.redirect_uri == address
    assert re.search(r"made for this login, SHA-256\n  [0-9a-f]{64}\n", capfd.readouterr().out)


def test_paste_proposes_no_address(logins: Logging, requests: LoginRequests) -> None:
    """Nothing would listen there."""
    with begin(requests, Choice("paste", opens=False, says=False), {}) as begun:
        assert begun.listener is None
    assert logins.server.engine.calls == [("begin login", "demo", "browser", None, False)]


def test_an_address_that_proves_nothing_is_pasted(
    logins: Logging, requests: LoginRequests, capfd: pytest.CaptureFixture[str]
) -> None:
    """No browser may bring it, which any page could send here; who asks for that learns why."""
    logins.server.engine.logins.returns_state = False
    with begin(requests, Choice(None, opens=True, says=True), {"DISPLAY": ":0"}) as begun:
        assert begun.listener is None
    assert "paste it here" in capfd.readouterr().out
    with pytest.raises(PasteOnlyError) as refused, begin(requests, QUIET, {}):
        pass
    assert refused.value.exit_code == 2


def test_a_device_login_has_neither_listener_nor_input(logins: Logging, requests: LoginRequests) -> None:
    """Its end comes from the daemon."""
    with begin(requests, Choice("device", opens=False, says=False), {}) as begun:
        assert (begun.redirect_uri, begun.listener, begun.typed) == (None, None, None)
