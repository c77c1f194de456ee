"""``json``: the native object, and the one that an existing program reads without being changed."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.files.children import STRANGER, environment, needs_root, public_directory
from tests.sinks.leases import ISSUED, PLANTED, InlineRuntime, lease, sink
from tokend.sinks.files.json import JsonSink
from tokend.values.errors import NewerGenerationError
from tokend.values.secret import Secret

# How that program reads tt_token.json: `datetime.now()` and what it saved are naive local times. Its second generation
# reads the newer member, and drops a file without it.
CONSUMER = """
import json, sys
from datetime import datetime, timedelta

class TTTokenManager:
    TOKEN_BUFFER_SECONDS = 600
    def __init__(self, token_file, life):
        with open(token_file) as file:
            data = json.load(file)
        assert data["status"] == "Ok"
        self.token, self.token_type = data["access_token"], data["token_type"]
        acquired = datetime.fromisoformat(data["acquisition_time"])
        self.expiry_time = acquired + timedelta(seconds=data[life])
    def is_token_valid(self, now):
        return now < self.expiry_time - timedelta(seconds=self.TOKEN_BUFFER_SECONDS)

manager = TTTokenManager(sys.argv[1], sys.argv[4])
now = datetime.fromtimestamp(float(sys.argv[2]))
print(json.dumps([manager.token, manager.token_type, manager.is_token_valid(now),
                  manager.is_token_valid(now + timedelta(seconds=float(sys.argv[3])))]))
"""


def test_the_native_layout_is_the_documented_object(tmp_path: Path) -> None:
    """docs/sinks.md: every member, one line, newline at the end; whole seconds, Z."""
    path = tmp_path / "token.json"
    sink("json", path).write(lease())
    text = path.read_text()
    assert text.endswith("}\n")
    assert text.count("\n") == 1
    assert json.loads(text) == {
        "version": 1,
        "name": "tt",
        "access_token": PLANTED,
        "token_type": "Bearer",
        "issued_at": "2026-03-01T12:00:00Z",
        "expires_at": "2026-03-02T12:00:00Z",
        "expires_at_unix": 1772452800,
        "refresh_at": "2026-03-01T12:01:00Z",
        "generation": 7,
        "fingerprint": "0123456789ab",
    }


def test_a_token_without_end_has_no_expiry(tmp_path: Path) -> None:
    """Null, not a date that somebody would believe."""
    for layout, key in (("native", "expires_at"), ("tt", "seconds_until_expiry")):
        sink("json", tmp_path / layout, layout=layout).write(lease(life_seconds=None))
        assert json.loads((tmp_path / layout).read_text())[key] is None


def test_the_tt_layout_has_exactly_its_members(tmp_path: Path) -> None:
    """docs/sinks.md: in this order; the life is an integer, the time naive; the type is the vendor's word."""
    sink("json", tmp_path / "tt_token.json", layout="tt").write(lease())
    read = json.loads((tmp_path / "tt_token.json").read_text())
    assert list(read) == [
        "status", "access_token", "token_type", "seconds_until_expiry", "seconds_until_expiry_on_save",
        "acquisition_time",
    ]  # fmt: skip
    assert read["seconds_until_expiry"] == read["seconds_until_expiry_on_save"] == 86_400
    assert read["token_type"] == "bearer"
    assert datetime.fromisoformat(read["acquisition_time"]).tzinfo is None


@given(life=st.integers(1, 10_000_000))
def test_the_life_as_issued_is_never_a_second_off(life: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Seconds are whole: what floats make of them must not show."""
    path = tmp_path_factory.mktemp("tt") / "tt_token.json"
    sink("json", path, layout="tt").write(lease(life_seconds=float(life)))
    assert json.loads(path.read_text())["seconds_until_expiry"] == life


@pytest.mark.parametrize("zone", ["UTC", "America/Chicago", "Asia/Kolkata", "Pacific/Auckland"])
@pytest.mark.parametrize("member", ["seconds_until_expiry", "seconds_until_expiry_on_save"])
def test_the_program_that_read_the_file_before_reads_it_still(tmp_path: Path, zone: str, member: str) -> None:
    """In the daemon's own time zone: its token is valid, and stops being so ten minutes before the expiry."""
    path = tmp_path / "tt_token.json"
    code = (
        "import pathlib, sys\n"
        "from tests.sinks.leases import lease, sink\n"
        "sink('json', pathlib.Path(sys.argv[1]), layout='tt').write(lease())\n"
    )
    environ = {**environment(), "TZ": zone}
    subprocess.run([sys.executable, "-c", code, path], env=environ, check=True)
    now = ISSUED.wall + timedelta(seconds=1)
    for ahead, valid in ((86_400 - 600 - 5, True), (86_400 - 600 + 5, False)):
        argv = [sys.executable, "-I", "-c", CONSUMER, str(path), str(now.timestamp()), str(ahead), member]
        read = json.loads(subprocess.run(argv, env={**os.environ, "TZ": zone}, capture_output=True, check=True).stdout)
        assert read == [PLANTED, "bearer", True, valid]


def fingerprint(value: Secret) -> str:
    return "f" + value.reveal()[-11:]


def shown(path: Path, **members: object) -> Path:
    """A native file of the token tt as tokend wrote it, with these members changed."""
    sink("json", path).write(lease())
    found = json.loads(path.read_text())
    found = {**found, "fingerprint": fingerprint(Secret(found["access_token"])), "generation": 9, **members}
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not None}))
    path.chmod(0o600)
    return path


def newer(path: Path, *, above: int = 8, **keys: str) -> int | None:
    model = sink("json", path, **keys).model
    assert isinstance(model, JsonSink)
    return model.newer_generation("tt", above, fingerprint)


def test_a_native_file_of_ours_proves_its_generation(tmp_path: Path) -> None:
    """The saved state may be old; the file is not."""
    path = shown(tmp_path / "token.json")
    assert newer(path) == 9
    assert newer(path, above=9) is None
    assert newer(path, above=10) is None
    assert newer(tmp_path / "missing.json") is None
    assert newer(path, layout="tt") is None


@pytest.mark.parametrize(
    "members",
    [
        {"name": "other"},
        {"fingerprint": "0123456789ab"},
        {"fingerprint": None},
        {"access_token": 7},
        {"generation": 2**53},
        {"generation": 9.5},
        {"generation": True},
        {"generation": "9"},
        {"generation": None},
    ],
)
def test_a_file_that_is_not_ours_proves_nothing(tmp_path: Path, members: dict[str, object]) -> None:
    """Another name, another salt, an impossible generation."""
    assert newer(shown(tmp_path / "token.json", **members), above=0) is None


@pytest.mark.parametrize("content", ["", "[]", "null", "{", '"text"', '{"generation":9}'])
def test_what_is_no_native_file_proves_nothing(tmp_path: Path, content: str) -> None:
    """Cut, emptied, or written by another program."""
    path = tmp_path / "token.json"
    path.write_text(content)
    assert newer(path) is None


def test_a_file_that_others_can_have_written_proves_nothing() -> None:
    """By its mode, by its owner, or because the directory is theirs."""
    with public_directory() as directory:
        path = shown(directory / "token.json")
        assert newer(path) == 9
        path.chmod(0o660)
        assert newer(path) is None
        path.chmod(0o640)
        directory.chmod(0o777)
        assert newer(path) is None
        directory.chmod(0o755)
        assert newer(path) == 9
        needs_root()
        os.chown(path, STRANGER, -1)
        assert newer(path) is None
        os.chown(path, 0, -1)
        os.chown(directory, STRANGER, -1)
        assert newer(path) is None


def test_an_older_token_is_not_written_over_a_newer_one_of_ours(tmp_path: Path) -> None:
    """The message names both generations; the file is unchanged."""
    path = tmp_path / "token.json"
    made = sink("json", path)
    real = InlineRuntime().fingerprint(Secret(PLANTED))
    newest = lease(generation=9)
    made.write(replace(newest, fingerprint=real))
    before = path.read_bytes()
    with pytest.raises(NewerGenerationError, match="it holds generation 9, newer than 7: not overwritten") as refused:
        made.write(lease(generation=7))
    assert refused.value.generation == 9
    assert path.read_bytes() == before
    assert made.write(lease(generation=10)) is True
    assert made.remove() is True


@pytest.mark.parametrize(
    "issued", ["2026-11-01T05:59:51+00:00", "2026-03-08T06:59:51+00:00", "2026-06-01T12:00:00+00:00"]
)
def test_readers_find_the_right_end_where_the_clocks_are_changed(tmp_path: Path, issued: str) -> None:
    """Over the end and the beginning of summer time: what a reader adds up is the naive local time of the expiry."""
    path = tmp_path / "tt_token.json"
    code = (
        "import pathlib, sys\n"
        "from dataclasses import replace\n"
        "from datetime import datetime\n"
        "from tests.sinks.leases import lease, sink\n"
        "from tokend.values.instant import Instant\n"
        "start = Instant(datetime.fromisoformat(sys.argv[2]), 50.0)\n"
        "made = lease()\n"
        "token = replace(made.token, issued_at=start, expires_at=start.after(86_400.0))\n"
        "sink('json', pathlib.Path(sys.argv[1]), layout='tt').write(replace(made, token=token))\n"
    )
    environ = {**environment(), "TZ": "America/New_York"}
    subprocess.run([sys.executable, "-c", code, path, issued], env=environ, check=True)
    read = json.loads(path.read_text())
    believed = datetime.fromisoformat(read["acquisition_time"]) + timedelta(seconds=read["seconds_until_expiry"])
    new_york = ZoneInfo("America/New_York")
    assert believed.replace(tzinfo=new_york).astimezone(UTC) == datetime.fromisoformat(issued) + timedelta(days=1)
