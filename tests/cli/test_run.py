"""`tokend run`: its exit codes before anything runs, and those of `--once`."""

import pytest

from tests.cli.running import SECRETS, Running, daemon, short_directory, tokend, write_config
from tokend.cli import run, run_help
from tokend.sandbox import Options, start
from tokend.sandbox.faults import Behaviour

HEAD = """\
[daemon]
socket = "tokend.sock"
state_directory = "state"
"""
MINTED = """
[providers.partner]
kind = "jwt"
secret = {{ file = "secrets/partner" }}
claims = {{ clientId = "sandbox-client" }}

[[providers.partner.sinks]]
kind = "raw"
path = "partner.jwt"

[providers.wallet]
kind = "request-jwt"
key = {{ file = "secrets/wallet-key" }}
secret = {{ file = "secrets/wallet-secret" }}
"""
LOGIN = """
[providers.topstepx]
kind = "projectx"
base_url = "{url}"
username = {{ file = "secrets/projectx-username" }}
api_key = {{ file = "secrets/KEY" }}
"""


def test_a_second_daemon_on_one_state_directory_is_75(running: Running) -> None:
    """One instance per state directory; the holder is named, and serves on."""
    done = tokend("run", "--config", str(running.config))
    assert (done.code, done.out) == (75, "")
    assert str(running.directory / "state") in done.err
    assert running.tokend("get", "tt").code == 0


@pytest.mark.parametrize(("environ", "code"), [({}, 2), ({"NOTIFY_SOCKET": "/nowhere"}, 78)])
def test_a_broken_configuration_is_2_and_under_systemd_78(environ: dict[str, str], code: int) -> None:
    """Every error at once with its place; nothing is started, no file made."""
    with short_directory() as directory:
        config = write_config(directory, HEAD + 'log_level = "loud"\n' + MINTED.replace("ttl", "tll") + "oops = 1\n")
        done = tokend("run", "--config", str(config), **environ)
        assert (done.code, done.out) == (code, "")
        assert f"{config}:4:" in done.err
        assert "oops" in done.err
        assert not (directory / "state").exists()


@pytest.mark.parametrize("arguments", [("run",), ("run", "--once")])
def test_a_configuration_that_is_not_there_is_2(arguments: tuple[str, ...]) -> None:
    """What was looked for, and why there."""
    done = tokend(*arguments, TOKEND_CONFIG="/nonexistent/config.toml")
    assert (done.code, done.out) == (2, "")
    assert "/nonexistent/config.toml" in done.err
    assert "$TOKEND_CONFIG" in done.err


def test_once_is_0_when_every_token_is_in_every_sink() -> None:
    """`--once`: logs in, writes, ends with 0."""
    with short_directory() as directory, start(Options()) as sandbox:
        config = write_config(directory, HEAD + MINTED + LOGIN.replace("KEY", "projectx-key"), url=sandbox.url)
        assert tokend("run", "--once", "--config", str(config)).code == 0
        assert (directory / "partner.jwt").read_text().count(".") == 2


def test_once_is_4_when_a_required_token_is_rejected() -> None:
    """`--once` with wrong credentials: 4 after the second rejection, and the other token is written nevertheless."""
    with short_directory() as directory, start(Options()) as sandbox:
        config = write_config(directory, HEAD + MINTED + LOGIN.replace("KEY", "wrong"), url=sandbox.url)
        done = tokend("run", "--once", "--config", str(config))
        assert done.code == 4
        assert (directory / "partner.jwt").exists()
        assert SECRETS["wrong"] not in done.out + done.err


def test_once_is_7_when_a_required_token_did_not_come() -> None:
    """`--once` while the upstream is away: 7, after `--wait`."""
    with short_directory() as directory:
        config = write_config(directory, HEAD + MINTED + LOGIN.replace("KEY", "projectx-key"))
        assert tokend("run", "--once", "--wait", "1s", "--config", str(config)).code == 7


def test_once_tries_again_after_a_503() -> None:
    """As the daemon does, until `--wait`: one odd answer of the upstream is no failure of the run."""
    with short_directory() as directory, start(Options()) as sandbox:
        sandbox.stage.faults.set("projectx", Behaviour("error", code=503, count=1))
        config = write_config(directory, HEAD + LOGIN.replace("KEY", "projectx-key"), url=sandbox.url)
        assert tokend("run", "--once", "--config", str(config)).code == 0


@pytest.mark.parametrize("output", ["raw", "json", "env"])
def test_once_prints_a_token_as_get_does(output: str) -> None:
    """The payload and a newline on standard output; the log goes elsewhere. The exit code is that of all tokens."""
    with short_directory() as directory:
        config = write_config(directory, HEAD + MINTED + LOGIN.replace("KEY", "projectx-key"))
        done = tokend("run", "--once", "--wait", "1s", "-o", output, "partner", "--config", str(config))
        assert done.code == 7  # topstepx is away
        with daemon(config) as running:
            assert done.out == running.tokend("get", "partner", "-o", output).out


def test_once_prints_nothing_where_there_is_no_valid_token() -> None:
    """And says why with its exit code."""
    with short_directory() as directory:
        config = write_config(directory, HEAD + MINTED + LOGIN.replace("KEY", "projectx-key"))
        done = tokend("run", "--once", "--wait", "1s", "-o", "raw", "topstepx", "--config", str(config))
        assert (done.code, done.out) == (7, "")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (
            ("--once", "-o", "raw", "nosuch"),
            5,
            "no token 'nosuch' in the configuration; its tokens are partner, wallet",
        ),
        (("--once", "-o", "raw", "wallet"), 2, "wallet is issued on demand: there is nothing to print"),
        (("--once", "-o", "raw"), 2, "-o needs the NAME of a token"),
        (("--once", "partner"), 2, "NAME needs -o raw, -o json or -o env"),
        (("--wait", "5s"), 2, "are for --once"),
        (("--once", "--wait", "5"), 2, "'5' is no duration"),
    ],
)
def test_what_a_single_run_cannot_print_is_said_before_anything_runs(
    arguments: tuple[str, ...], code: int, text: str
) -> None:
    """No file is made."""
    with short_directory() as directory:
        config = write_config(directory, HEAD + MINTED)
        done = tokend("run", *arguments, "--config", str(config))
        assert (done.code, done.out) == (code, "")
        assert text in done.err
        assert not (directory / "partner.jwt").exists()


def test_once_does_not_mind_what_is_not_required() -> None:
    """`required = false`: its failure changes nothing about the exit code."""
    with short_directory() as directory:
        text = HEAD + MINTED + LOGIN.replace("KEY", "projectx-key") + "required = false\n"
        assert tokend("run", "--once", "--config", str(write_config(directory, text))).code == 0


def test_the_daemon_ends_cleanly_and_takes_its_socket_along() -> None:
    """SIGTERM: the socket is gone, and the next daemon starts on the same state."""
    with short_directory() as directory:
        config = write_config(directory, HEAD + MINTED)
        with daemon(config) as first:
            generation = first.becomes("partner", "valid")["generation"]
        assert not first.socket.exists()
        with daemon(config) as second:
            assert second.becomes("partner", "valid")["generation"] == generation


def test_the_level_of_the_command_line_holds_over_the_configuration() -> None:
    """Also after a reload that changes `log_level`."""
    with short_directory() as directory:
        config = write_config(directory, HEAD + 'log_level = "error"\n' + MINTED)
        with daemon(config, "--log-level", "debug") as running:
            assert "event=daemon.ready" in (directory / "tokend.log").read_text()
            write_config(directory, HEAD + 'log_level = "warning"\n' + MINTED)
            assert running.tokend("reload").code == 0
            running.tokend("get", "partner")
            log = (directory / "tokend.log").read_text()
        assert "event=config.loaded" in log
        assert log.count("level=debug") > 0


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], (None, False, None)),
        (["--once"], (None, True, None)),
        (["--config", "a.toml", "--once"], ("a.toml", True, None)),
        (["--config=a=b.toml"], ("a=b.toml", False, None)),
        (["--config=", "--config", "--once"], ("--once", False, None)),  # as click reads it
        (["--log-level", "debug"], (None, False, "debug")),
        (["--log-level=error", "--once"], (None, True, "error")),
    ],
)
def test_plain_arguments_are_read_as_click_reads_them(
    arguments: list[str], options: tuple[str | None, bool, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run` bypasses click only where both would do the same."""
    seen: list[object] = []

    def note(*given: object) -> int:
        seen.append(given)
        return 0

    for module in (run, run_help):
        monkeypatch.setattr(module, "run_daemon", note)
    assert run.run(arguments) == 0
    run_help.command.main(arguments, standalone_mode=False)
    assert seen == [options, options]


@pytest.mark.parametrize(
    "argument", ["--help", "-h", "--onc", "--once=1", "--config", "--", "file", "--log-level", "--log-level=loud"]
)
def test_anything_else_is_left_to_click(argument: str) -> None:
    """click explains wrong usage and prints the help."""
    assert run.run([argument]) is None
