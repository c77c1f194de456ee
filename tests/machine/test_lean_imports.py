"""Imports of a running daemon: what it never uses stays out, and what one request needs comes in a thread."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon.tables import ALL_KINDS, DAEMON, SECRETS

# Third parties would import these; or only an error, a first exchange or another command needs them.
UNUSED = ("rich", "twisted", "pydantic.plugin._loader", "watchfiles.run", "importlib.metadata", "multiprocessing")
LATE = (
    "httpx", "httpcore", "jwt", "cryptography", "jinja2", "jmespath", "prometheus_client", "email.utils", "difflib",
    "tokend.api.schemas",
)  # fmt: skip
# Only stores elsewhere need these.
OF_STORES = (
    "tokend.sinks.stores", "tokend.plugin.declared", "tokend.plugin.aws", "tokend.plugin.template_check",
    "tokend.signing.sigv4",
)  # fmt: skip
ELSEWHERE = ("click", "tokend.client", "tokend.sandbox", "tokend.cli.commands", "unicodedata")

# Runs until the daemon is ready, and prints which modules have come from a file by then.
UNTIL_READY = """
import json, os, signal, sys
from tokend.cli import run
from tokend.service_manager import notify
def ready(self):
    print(json.dumps([name for name, module in list(sys.modules.items()) if getattr(module, "__spec__", None)]))
    os.kill(os.getpid(), signal.SIGTERM)
notify.Notifier.ready = ready
sys.exit(run.run(["--config", "config.toml"]))
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Return the modules of a daemon with all five kinds that is ready. It has asked no upstream yet."""
    home = tmp_path_factory.mktemp("tk")
    (home / "s").mkdir(mode=0o700)
    (home / "out").mkdir()
    for name, value in SECRETS.items():
        (home / "s" / name).write_text(value)
        (home / "s" / name).chmod(0o600)
    (home / "config.toml").write_text(DAEMON + ALL_KINDS.format(url="http://127.0.0.1:9"))
    argv = [sys.executable, "-c", UNTIL_READY]
    # coverage imports multiprocessing in each process that it measures.
    environ = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_START"}
    done = subprocess.run(argv, cwd=home, env=environ, capture_output=True, text=True, check=True, timeout=60)
    return frozenset(json.loads(done.stdout))


@pytest.mark.parametrize("name", [*UNUSED, *LATE, *OF_STORES, *ELSEWHERE])
def test_a_daemon_that_is_ready_has_not_imported(name: str, imported: frozenset[str]) -> None:
    """Each costs time at every start and memory for as long as the daemon runs."""
    assert sorted(one for one in imported if one == name or one.startswith(f"{name}.")) == []


def test_what_is_asked_about_is_installed(imported: frozenset[str]) -> None:
    """A name that is misspelt above would never be imported."""
    code = "import sys, importlib.util; print([n for n in sys.argv[1:] if importlib.util.find_spec(n) is None])"
    names = [name for name in (*UNUSED, *LATE, *OF_STORES, *ELSEWHERE) if name != "twisted"]
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("[]", "['rich']")
    assert "tokend.httpd.unix_server" in imported


def test_a_plugin_of_pydantic_that_is_installed_is_not_loaded(tmp_path: Path) -> None:
    """It would see every value that is validated, also a secret that was written where a name belongs."""
    info = tmp_path / "spy-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spy\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[pydantic]\nspy = spy:plugin\n")
    (tmp_path / "spy.py").write_text("print('loaded')\nplugin = None\n")
    build = "import pydantic\nclass A(pydantic.BaseModel): x: int\nA(x=1)\n"
    keep_out = "from tokend.machine import lean_imports; lean_imports.keep_out()\n"
    seen = []
    for code in (build, keep_out + build):
        argv = [sys.executable, "-W", "ignore", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"]
        seen.append(subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip())
    assert seen == ["loaded", ""]


FIRST_EXCHANGE = """
import sys, threading
from datetime import timedelta
import anyio
from tokend.machine.clock import SystemClock
from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.plugin.settings import HeldSettings
from tokend.upstream.client import Upstream
from tokend.values.errors import TransientError
seen = set()
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in ("httpx", "httpcore", "certifi"):
            seen.add((name, threading.current_thread() is threading.main_thread()))
sys.meta_path.insert(0, Finder())
class Local(HeldSettings):
    kind: str = "local"
    async def fetch(self, runtime, previous): ...
async def main():
    try:
        await Upstream(Local(), clock=SystemClock(), threads=ThreadPool(1)).exchange(
            UpstreamRequest("GET", "http://127.0.0.1:1/"))
    except TransientError as error:
        print(error.detail)
anyio.run(main)
print(sorted(seen))
"""


def test_the_http_client_is_imported_in_a_thread() -> None:
    """The import takes 70 ms: readers are served meanwhile."""
    argv = [sys.executable, "-c", FIRST_EXCHANGE]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    refused, seen = done.stdout.splitlines()
    assert refused.endswith("connection refused")
    names = ("certifi", "httpcore", "httpx")
    assert seen == repr([(name, False) for name in names])
