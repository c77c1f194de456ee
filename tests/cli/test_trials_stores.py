"""`tokend check --probe`: stores are asked once with their credentials, and nothing is written."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import short_directory, tokend, write_config
from tests.small_server import QuietHandler, serving

PASSWORD = "planted-fake-store-password"
VALUE = "planted-fake-value"
CONFIG = """\
[daemon]
socket = "tokend.sock"
state_directory = "state"

[providers.partner]
kind = "jwt"
secret = {{ file = "secrets/partner" }}
jti = true
"""
SINK = """
[[providers.partner.sinks]]
kind = "http"
auth = {{ file = "./store" }}
request = {{ method = "PUT", url = "{url}/app", json = {{ value = "{{value}}" }} }}
"""
INSPECT = 'inspect = {{ url = "{url}/app", answer = {{ value = "value" }} }}\n'
asked: list[str] = []


class Handler(QuietHandler):
    """A store of one value."""

    def get(self) -> None:
        asked.append(f"{self.command} {self.path}")
        if self.headers["Authorization"] != f"Bearer {PASSWORD}":
            return self.reply(403, {"error": self.headers["Authorization"]})
        return self.reply(200, {"value": VALUE})


@pytest.fixture
def url() -> Iterator[str]:
    asked.clear()
    with serving(Handler) as url:
        yield url


@pytest.fixture
def directory() -> Iterator[Path]:
    with short_directory() as directory:
        (directory / "store").write_text(PASSWORD)
        (directory / "store").chmod(0o600)
        yield directory


def written(directory: Path, url: str, *sinks: str) -> Path:
    config = write_config(directory, CONFIG + "".join(sinks), url=url)
    config.chmod(0o600)
    return config


def test_each_store_is_asked_once_and_nothing_is_written(directory: Path, url: str) -> None:
    """A line per sink: label, outcome, target. A file is no store."""
    config = written(directory, url, SINK + INSPECT, '\n[[providers.partner.sinks]]\nkind = "raw"\npath = "there"\n')
    done = tokend("check", str(config), "--probe")
    host = url.removeprefix("http://")
    assert done.code == 0
    assert done.out.splitlines()[1:] == [f"partner http-1: ok: http:{host}/app: the store answers"]
    assert asked == ["GET /app"]
    assert not (directory / "there").exists()
    assert PASSWORD not in done.out + done.err
    assert VALUE not in done.out + done.err


def test_after_a_trial_the_store_is_compared_with_the_token(directory: Path, url: str) -> None:
    """Beside --try, in one object of JSON."""
    config = written(directory, url, SINK + INSPECT)
    done = tokend("check", str(config), "--probe", "--try", "partner", "-o", "json")
    answer = json.loads(done.out)
    assert (done.code, answer["ok"], [one["outcome"] for one in answer["trials"]]) == (0, True, ["ok"])
    [probe] = answer["probes"]
    assert (probe["name"], probe["sink"], probe["outcome"]) == ("partner", "http-1", "ok")
    assert probe["detail"] == "the store answers: it holds another value"
    assert asked == ["GET /app"]


def test_a_refused_credential_is_exit_code_4_and_a_store_that_is_away_1(directory: Path, url: str) -> None:
    """The store's answer, which repeats the credential, is not shown."""
    (directory / "store").write_text("planted-fake-wrong")
    config = written(directory, url, SINK + INSPECT)
    done = tokend("check", str(config), "--probe")
    assert done.code == 4
    assert ": refused: http:" in done.out
    assert "planted" not in done.out + done.err
    away = written(directory, "http://127.0.0.1:9", SINK + INSPECT)
    done = tokend("check", str(away), "--probe", "-o", "json")
    assert (done.code, json.loads(done.out)["probes"][0]["outcome"]) == (1, "failed")


def test_a_store_that_cannot_be_read_is_not_written_to_find_out(directory: Path, url: str) -> None:
    """It says so. Without any store there is nothing to ask."""
    done = tokend("check", str(written(directory, url, SINK)), "--probe")
    assert (done.code, asked) == (0, [])
    assert ": not tried: " in done.out
    done = tokend("check", str(written(directory, url)), "--probe")
    assert (done.code, done.out.splitlines()[1:]) == (0, ["no sink is in a store: nothing to probe"])
    assert json.loads(tokend("check", str(directory / "config.toml"), "--probe", "-o", "json").out)["probes"] == []
