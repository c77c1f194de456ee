"""The examples of docs/extending.md, installed as a package and run in a daemon, with an upstream and a store."""

import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.daemon.harness import Home, at_home, until
from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs" / "extending.md"
KEY, PASSWORD = "planted-fake-weather-key", "planted-fake-store-password"
# From `class` on: a kind should take about 30 lines.
LONGEST_CLASS = 32
LONGEST_PLUGIN = 30


@dataclass
class Service:
    """The weather service and the store in one server: each request, and what the store holds."""

    requests: list[tuple[str, str, str]] = field(default_factory=list)
    locked: bool = False
    held: dict[str, str] = field(default_factory=dict)

    def answer(self, method: str, path: str, headers: dict[str, str], body: str) -> tuple[int, object]:
        self.requests.append((method, path, body))
        if path == "/session":
            known = json.loads(body) == {"client": "shop-1", "secret": KEY}
            good = {"locked": True} if self.locked else {"session": "fake-acme-session", "seconds": 600}
            return (200, good) if known else (401, {})
        if path in ("/token", "/ticket"):
            if headers.get("x-api-key") != KEY:
                return 401, {}
            value = (
                {"token": "fake-weather-token", "expires_in": 600} if path == "/token" else {"ticket": "fake-ticket"}
            )
            return 200, value
        if headers.get("authorization") != PASSWORD:
            return 403, {}
        if method == "GET":
            return (200, self.held[path]) if path in self.held else (404, {})
        if method == "PUT":
            self.held[path] = body
        else:
            self.held.pop(path, None)
        return 200, {}


@contextmanager
def listening(service: Service) -> Iterator[str]:
    """Serve on loopback; gives the URL."""

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = service.answer(self.command, self.path, headers, body)
            content = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = reply  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def files() -> dict[str, str]:
    """The page's files by the name in their first line."""
    found = {}
    for block in blocks(PAGE, "python", "toml"):
        match = re.match(r"# (\S+)\n", block.text)
        assert match is not None, block.text
        found[match[1]] = block.text
    return found


def installed(site: Path) -> Path:
    """Put the page's package where an installer would put it."""
    for name, text in files().items():
        if name.startswith("acme_tokend/"):
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text(text)
    project = tomllib.loads(files()["pyproject.toml"])["project"]
    about = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return site


@contextmanager
def prepared(*, missing: str = "") -> Iterator[tuple[Home, Service]]:
    """A home with the page's package, configuration and secrets, except the ``missing`` one."""
    service = Service()
    with at_home() as home, listening(service) as url:
        (home.path / "secrets").mkdir(mode=0o700)
        for name, value in {"stamp": "planted-fake-stamp-secret", "weather": KEY, "store": PASSWORD}.items():
            if name != missing:
                home.save(home.path / "secrets" / name, value + "\n")
        text = re.sub(r"https://(?:weather|store)\.example", url, files()["config.toml"])
        home.save(home.config, home.text() + text)
        home.environ["PYTHONPATH"] = f"{installed(home.path / 'site')}:{ROOT}"
        yield home, service


def test_all_kinds_of_the_page_work_in_a_daemon() -> None:
    """Held, minted and on demand; a file and a store; no secret in the log."""
    with prepared() as (home, service):
        checked = home.run("check", str(home.config))
        assert checked.returncode == 0, checked.stderr
        daemon = home.start().settled()
        stamp = daemon.lease("here")
        assert re.fullmatch(r"\d{10}\.[0-9a-f]{64}", stamp["access_token"])
        assert f"access_token = {stamp['access_token']}\n" in home.out("here.ini").read_text()
        assert daemon.lease("there")["access_token"] == "fake-weather-token"
        assert service.held == {"/weather": "fake-weather-token"}
        assert [method for method, path, _ in service.requests if path == "/weather"] == ["GET", "PUT"]
        probed = home.run("check", "--probe", "--try", "there", str(home.config))
        assert "there shelf-1: ok" in probed.stdout
        assert home.run("sync", "there").returncode == 0
        assert [method for method, path, _ in service.requests if path == "/weather"].count("PUT") == 1
        issued = daemon.ask("POST", "/v1/tokens/visit/issue", {"visitor": "a b"})
        assert issued.json["access_token"] == "fake-ticket"
        assert ("POST", "/ticket", "visitor=a%20b") in service.requests
        wrong = daemon.ask("POST", "/v1/tokens/visit/issue", {"guest": "x"})
        assert wrong.status in (400, 422)
        assert set(wrong.json["errors"]) == {"visitor", "guest"}
        home.save(home.path / "secrets" / "stamp", "planted-fake-other-secret\n")
        until(lambda: daemon.lease("here")["access_token"] != stamp["access_token"], "a stamp with the new secret")
        shown = home.log.read_text() + home.run("status").stdout + json.dumps(daemon.status())
        for secret in (KEY, PASSWORD, "planted-fake-stamp-secret", "fake-weather-token", stamp["access_token"]):
            assert secret not in shown


def test_a_sink_whose_secret_is_missing_is_an_error_of_the_configuration() -> None:
    """Its file is named, before anything runs."""
    with prepared(missing="store") as (home, service):
        checked = home.run("check", str(home.config))
        assert checked.returncode == 2
        assert f"auth: file {home.path}/secrets/store cannot be read: No such file or directory" in checked.stderr
        assert service.requests == []


@pytest.mark.parametrize(
    ("table", "key", "message"),
    [
        ("there", "base_url", "http:// would send secrets in clear"),
        ("there.sinks", "address", "a store's URL is https://host, or http:// to loopback only"),
        ("visit", "base_url", "http:// would send secrets in clear"),
    ],
)
def test_a_url_in_clear_is_refused_without_a_line_in_the_kind(table: str, key: str, message: str) -> None:
    """What `NetworkSettings` and `HttpSinkSettings` bring."""
    with prepared() as (home, _):
        before, header, after = home.config.read_text().partition(f"[providers.{table}]")
        after = re.sub(rf'{key} = "[^"]*"', f'{key} = "http://evil.example"', after, count=1)
        home.save(home.config, before + header + after)
        checked = home.run("check", str(home.config))
        assert checked.returncode == 2
        assert f"{key}: {message}" in checked.stderr


def test_the_schema_has_the_kinds_of_the_package() -> None:
    """Editors complete their keys."""
    with prepared() as (home, _):
        schema = json.loads(home.run("schema").stdout)
        assert {"stamp", "weather", "ticket"} <= set(schema["$defs"]["provider"]["properties"]["kind"]["enum"])
        assert {"ini", "shelf"} <= set(schema["$defs"]["sink"]["properties"]["kind"]["enum"])


@pytest.mark.parametrize("name", [name for name in files() if name.endswith(".py")])
def test_an_example_is_short(name: str) -> None:
    """A kind is one class of about thirty lines, without its imports. A plug-in of one file has them in all."""
    _, _, body = files()[name].partition("\nclass ")
    assert 5 < len(body.splitlines()) <= LONGEST_CLASS
    assert name.startswith("acme_tokend/") or len(files()[name].splitlines()) <= LONGEST_PLUGIN


@contextmanager
def plugged() -> Iterator[tuple[Home, Service]]:
    """A home with the page's plug-ins of one file, and their configuration."""
    service = Service()
    with at_home() as home, listening(service) as url:
        for directory in ("plugins", "secrets"):
            (home.path / directory).mkdir(mode=0o700)
        home.save(home.path / "secrets" / "acme", KEY + "\n")
        for name in ("acme.py", "card.py"):
            home.save(home.path / "plugins" / name, files()[f"/etc/tokend/plugins/{name}"])
        text = files()["/etc/tokend/config.toml"].replace("https://api.acme.example", url)
        daemon, _, providers = text.partition("\n\n")
        daemon = daemon.partition("[daemon]\n")[2].replace("/etc/tokend/", f"{home.path}/")
        home.save(home.config, f"{home.text().rstrip()}\n{daemon}\n\n{providers}")
        yield home, service


def test_a_plug_in_of_one_file_works_from_the_page_alone() -> None:
    """The page's steps: check, one attempt, a run without a daemon, a daemon; status and version name the files."""
    with plugged() as (home, service):
        shown = ""
        for line in (line for block in blocks(PAGE, "console") for line in block.text.splitlines()):
            done = home.run(*line.removeprefix("$ tokend ").split())
            assert done.returncode == 0, (line, done.stderr)
            shown += done.stdout + done.stderr
        assert "acme: ok" in shown or "acme" in shown
        card = home.out("acme.card").read_text().splitlines()
        assert card[:2] == ["token = fake-acme-session", "type = Bearer"]
        assert card[2].startswith("ends = ")
        daemon = home.start().settled()
        assert daemon.lease("acme")["access_token"] == "fake-acme-session"
        assert home.run("refresh", "acme").returncode == 0
        status, version = home.run("status").stdout, home.run("version", "--config", str(home.config)).stdout
        for text in (status, version):
            assert f"plug-in {home.path}/plugins/acme.py: acme" in text
            assert f"plug-in {home.path}/plugins/card.py: card (sink)" in text
        service.locked = True
        assert home.run("refresh", "acme").returncode != 0
        row = daemon.row("acme")["last_error"]
        assert (row["class"], "has locked this client" in row["detail"]) == ("rejected", True)
        for text in (shown, status, version, home.log.read_text(), json.dumps(daemon.status())):
            assert KEY not in text
            assert "fake-acme-session" not in text


def test_the_package_of_the_page_is_installed_by_pip() -> None:
    """Its pyproject.toml is enough; `tokend version` names the package and whether it is used."""
    with prepared() as (home, _):
        source, site = home.path / "source", home.path / "installed"
        for name, text in files().items():
            if name == "pyproject.toml" or name.startswith("acme_tokend/"):
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_text(text)
        (source / "acme_tokend" / "__init__.py").touch()
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
        install += ["--disable-pip-version-check", "--no-cache-dir", "--root-user-action=ignore", "--target", str(site)]
        done = subprocess.run([*install, str(source)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        home.environ["PYTHONPATH"] = f"{site}:{ROOT}"
        version = home.run("version", "--config", str(home.config)).stdout
        assert "plug-in acme-tokend 1.0: here" not in version
        assert "plug-in acme-tokend 1.0: stamp, ticket, weather, ini (sink), shelf (sink)\n" in version
        daemon = home.start().settled()
        assert daemon.status()["plugins"] == [
            {
                "file": None, "package": "acme-tokend", "version": "1.0", "providers": ["stamp", "ticket", "weather"],
                "sinks": ["ini", "shelf"], "error": None,
            }
        ]  # fmt: skip
