"""The counterparts start, answer, and are gone afterwards."""

import os
import sys
from pathlib import Path

import pytest

from tests.counterparts.programs import Counterpart, answers_http, answers_tcp, node_package, program, started

SERVER = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]


@pytest.mark.parametrize("name", ["openbao", "moto", "redis_server", "nats_server", "etcd", "oidc_provider"])
def test_each_counterpart_starts_and_answers(name: str, request: pytest.FixtureRequest) -> None:
    """Its fixture begins with the first answer, so that a test may use it at once."""
    running: Counterpart = request.getfixturevalue(name)
    assert answers_tcp(running)


def test_a_program_is_ended_with_its_block(tmp_path: Path) -> None:
    """No process and no listener is left."""
    with started(lambda port: [*SERVER, str(port)], tmp_path, answers=answers_http()) as running:
        os.kill(running.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(running.pid, 0)
    assert not answers_tcp(running)


def test_a_port_that_was_taken_meanwhile_is_not_used(tmp_path: Path) -> None:
    """The program is started again with another port; an answer of the other program does not count."""
    ports: list[int] = []
    with started(lambda port: [*SERVER, str(port)], tmp_path, answers=answers_http()) as other:

        def argv(port: int) -> list[str]:
            ports.append(port if ports else other.port)
            return [*SERVER, str(ports[-1])]

        with started(argv, tmp_path, answers=answers_http()) as running:
            assert ports == [other.port, running.port]
            assert running.port != other.port


def test_a_program_that_ends_is_a_failure_with_its_output(tmp_path: Path) -> None:
    """After three starts: the reason is in the message."""
    with (
        pytest.raises(pytest.fail.Exception, match=r"3 times.*a fake reason"),
        started(lambda _: ["sh", "-c", "echo a fake reason; exit 1"], tmp_path, answers=answers_tcp),
    ):
        pass


@pytest.mark.parametrize("required", [False, True], ids=["may be missing", "required"])
def test_what_is_not_installed_is_skipped_or_fails(required: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason, and what to install."""
    monkeypatch.setenv("TOKEND_REQUIRE_COUNTERPARTS", "1" if required else "0")
    with pytest.raises(pytest.fail.Exception if required else pytest.skip.Exception, match="pip install nothing"):
        program("tokend-has-no-such-program", package="pip install nothing")
    with pytest.raises(pytest.fail.Exception if required else pytest.skip.Exception, match="npm install nothing"):
        node_package("tokend-has-no-such-package", package="npm install nothing")
