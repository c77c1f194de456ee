"""`tokend try` as a person runs it: files, standard input, exit codes, a laptop without any secret."""

import json
from pathlib import Path

import pytest

from tests.cli.test_check import tokend
from tests.config.written import written
from tokend.cli.commands import main

CONFIG = """\
[providers.topstepx]
kind = "projectx"
username = { env = "NOT_SET" }
api_key = { file = "/nonexistent/key" }

[providers.person]
kind = "oauth2"
grant = "authorization_code"
token_url = "https://login.example/token"
authorize_url = "https://login.example/authorize"
client_id = "fake-client"
client_secret = { command = ["/bin/sh", "-c", "touch ran; echo fake"] }

[[providers.person.sinks]]
kind = "raw"
path = "/nonexistent/person.token"

[providers.partner]
kind = "jwt"
secret = { credential = "partner" }
"""
GOOD = '{"success": true, "errorCode": 0, "token": "obviously-fake-token"}'


def test_an_answer_is_tried_without_secrets_and_nothing_is_written(tmp_path: Path) -> None:
    """No secret of this configuration can be read here; no command runs, no file comes about."""
    path, reply = written(tmp_path, CONFIG), written(tmp_path, GOOD, name="reply.json")
    done = tokend("try", "topstepx", "--reply", str(reply), "--config", str(path), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "token: 20 characters, Bearer" in done.stdout
    assert "obviously-fake-token" not in done.stdout
    granted = written(tmp_path, '{"access_token": "fake", "expires_in": 60}', name="granted.json")
    done = tokend("try", "person", "--reply", str(granted), cwd=tmp_path, environ={"TOKEND_CONFIG": str(path)})
    assert done.returncode == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["config.toml", "granted.json", "reply.json"]


def test_exit_codes_say_what_the_answer_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """4 a person, 7 no token, 1 one more request, 2 wrong use, 5 an unknown name."""
    path = str(written(tmp_path, CONFIG))
    file = str(written(tmp_path, '{"error": "invalid_grant"}', name="reply.json"))

    def code(*arguments: str) -> int:
        found = main(["try", *arguments, "--config", path])
        capsys.readouterr()
        return found

    assert code("person", "--reply", file, "--status", "400") == 4
    assert code("person", "--reply", file, "--status", "500") == 7
    assert code("topstepx", "--reply", file, "--status", "429", "--header", "Retry-After: 30") == 7
    assert code("topstepx", "--renew", "--reply", file) == 7
    assert code("partner", "--reply", file) == 2
    assert code("person", "a=b", "--reply", file) == 2
    assert code("person") == 2
    assert code("person", "--renew", "--login", "--reply", file) == 2
    assert code("person", "--reply", "-", "--reply", "-") == 2
    assert code("person", "--reply", file, "--header", "fake") == 2
    assert code("topstep", "--reply", file) == 5
    assert code("person", "--reply", str(tmp_path / "none")) == 1


def test_an_unknown_name_says_which_one_was_meant(tmp_path: Path) -> None:
    """A near miss."""
    path, reply = written(tmp_path, CONFIG), written(tmp_path, GOOD, name="reply.json")
    done = tokend("try", "topstep", "--reply", str(reply), "--config", str(path))
    assert done.stderr == 'tokend: there is no provider "topstep"; did you mean "topstepx"?\n'


def test_a_wrong_configuration_is_reported_as_check_does(tmp_path: Path) -> None:
    """All errors with their places; as JSON, too."""
    path, reply = written(tmp_path, CONFIG + "timout = 5\n"), written(tmp_path, GOOD, name="reply.json")
    done = tokend("try", "topstepx", "--reply", str(reply), "--config", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert f'{path}:21:1: unknown key "timout"' in done.stderr
    done = tokend("try", "topstepx", "--reply", str(reply), "--config", str(path), "-o", "json")
    assert json.loads(done.stdout)["errors"][0]["line"] == 21
    done = tokend("try", "topstepx", "--reply", str(reply), "--config", "/nonexistent/config.toml", "-o", "json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["ok"] is False


def test_the_report_is_for_programs_too(tmp_path: Path) -> None:
    """One object, from standard input."""
    path, reply = written(tmp_path, CONFIG), written(tmp_path, GOOD, name="reply.json")
    done = tokend("try", "topstepx", "--reply", str(reply), "-o", "json", "--config", str(path))
    answer = json.loads(done.stdout)
    assert (answer["name"], answer["kind"], answer["outcome"]) == ("topstepx", "projectx", "token")


def test_a_shell_completes_the_names_of_the_configuration(tmp_path: Path) -> None:
    """Without a daemon; with a configuration that is wrong, nothing and no message."""
    path = written(tmp_path, CONFIG)
    words = {"_TOKEND_COMPLETE": "bash_complete", "COMP_CWORD": "2", "TOKEND_CONFIG": str(path)}
    done = tokend(environ={**words, "COMP_WORDS": "tokend try p"})
    assert done.stdout.split() == ["plain,person", "plain,partner"]
    path.write_text("[")
    done = tokend(environ={**words, "COMP_WORDS": "tokend try p"})
    assert (done.stdout.strip(), done.stderr) == ("", "")
