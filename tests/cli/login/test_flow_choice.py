"""Choice of a flow, from the environment."""

import os
import pwd

import pytest

from tokend.cli.login.flow_choice import first_flow, forwarding_command, may_open_browser, other_flow

SSH = {"SSH_CONNECTION": "198.51.100.7 50022 203.0.113.5 22"}
DISPLAY = {"DISPLAY": ":0"}


def me() -> str:
    """The name of this user; "YOU" without an account, as a container's user may be."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "YOU"


ME = me()


@pytest.mark.parametrize(
    ("environ", "flow", "opens"),
    [
        (DISPLAY, "browser", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "browser", True),
        ({}, "device", False),
        (SSH, "device", False),
        ({**SSH, **DISPLAY}, "device", False),  # X11 forwarding: the browser would be slow, and this machine's
        ({**DISPLAY, "SUDO_UID": "1000"}, "browser", False),
        ({"DISPLAY": ""}, "device", False),
    ],
)
def test_another_device_where_no_browser_is_at_hand(environ: dict[str, str], flow: str, opens: bool) -> None:
    """And no browser is started as root, nor at the other end of an ssh connection."""
    assert first_flow(environ) == flow
    assert may_open_browser(environ) is opens


def test_the_other_flow_is_tried_where_the_server_lacks_the_first() -> None:
    """There are two."""
    assert (other_flow("device"), other_flow("browser")) == ("browser", "device")


@pytest.mark.parametrize(
    ("environ", "command"),
    [
        (SSH, f"ssh -N -L 8400:127.0.0.1:8400 {ME}@203.0.113.5"),
        ({"SSH_CONNECTION": "a 1 203.0.113.5 2222"}, f"ssh -N -L 8400:127.0.0.1:8400 -p 2222 {ME}@203.0.113.5"),
        ({"SSH_CONNECTION": "a 1 fe80::1%eth0 22"}, f"ssh -N -L 8400:127.0.0.1:8400 {ME}@fe80::1%eth0"),
        ({**SSH, "SUDO_USER": "alice"}, "ssh -N -L 8400:127.0.0.1:8400 alice@203.0.113.5"),
        ({}, None),
        ({"SSH_CONNECTION": "a b c"}, None),
        ({"SSH_CONNECTION": "a 1 c x"}, None),
        ({"SSH_CONNECTION": "a 1 $(reboot) 22"}, None),
    ],
)
def test_the_ssh_command_that_leads_a_browser_here(environ: dict[str, str], command: str | None) -> None:
    """With the address and the port that the person's own ssh uses."""
    assert forwarding_command(environ, 8400) == command


def test_a_user_without_an_account_name_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's uid need not have one."""

    def nobody(uid: int) -> object:
        raise KeyError(uid)

    monkeypatch.setattr("tokend.cli.login.flow_choice.pwd.getpwuid", nobody)
    assert " YOU@" in str(forwarding_command(SSH, 8400))
    assert " bob@" in str(forwarding_command({**SSH, "USER": "bob"}, 8400))
