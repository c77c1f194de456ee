"""One real daemon at debug level, every class of failure, secrets planted everywhere: and then the search."""

import http.client
import re
import signal
import socket
import stat
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.daemon.harness import Daemon, Home, at_home, loopback_address, until
from tests.secrets.echo import Echo, echoing
from tests.secrets.planted import ACCEPTED, SECRETS, inputs_and_sinks, lay_out, tables
from tests.secrets.search import JWT, traces
from tokend.files.temporaries import MARK

USER = {"clientId": "CLIENT_001", "username": "u", "displayName": "Some User", "ipAddress": "127.0.0.1"}
PAYMENT = {"amount": "1", "orderId": "2", "currency": "B", "url": "/pay"}
BUGGY = (sys.executable, str(Path(__file__).with_name("buggy.py")))


@dataclass
class Seen:
    """What one run showed, by where; ``tokens`` are those that it gave out where it should."""

    shown: dict[str, bytes] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def note(self, where: str, *parts: bytes | str) -> None:
        self.shown[where] = b"\n".join(part if isinstance(part, bytes) else part.encode() for part in parts)

    def findings(self) -> list[str]:
        """Every secret and every token that is where it should not be."""
        return [
            f"{where}: {trace}"
            for where, data in self.shown.items()
            for trace in [*traces({**SECRETS, **self.tokens}, data), *(["a JWT"] if JWT.search(data) else [])]
        ]  # fmt: skip


def test_nothing_that_the_daemon_shows_holds_a_secret() -> None:
    """docs/promises.md P4; 27, 106, 107, 110, 111, 113, 117: successes, failures, bugs, reloads, an end, a restart."""
    with (
        at_home(**{option: SECRETS[name] for name, option in ACCEPTED.items()}) as home,
        echoing(SECRETS["xerve"]) as echo,
    ):
        listen = loopback_address()
        text = tables(echo.url, listen).format(url=home.sandbox.url)
        home.environ.update(lay_out(home))
        home.save(home.config, text)
        daemon, seen = home.start(wrap=BUGGY), Seen()
        _wait_for_failures(daemon, text)
        events = _events(home)
        _read(daemon, seen)
        _ask_wrongly(daemon, seen)
        _use_loopback(listen, seen)
        _use_the_command_line(home, seen)
        _reload(home, daemon, text, seen)
        _look_at_processes(home, daemon, seen)
        until(lambda: daemon.log("worker.crashed"), "the traceback")
        assert daemon.end() == 0
        seen.note("events", b"".join(iter(lambda: events.recv(65536), b"")))
        events.close()
        again = home.start()
        seen.note("status after a restart", again.get("/v1/status").body)
        again.send(signal.SIGABRT)
        again.process.wait()
        # A crash during a write leaves a temporary file; the next start removes it.
        last = home.start()
        _wait_for_sinks(last)
        assert last.end() == 0
        seen.note("log", home.log.read_bytes())
        seen.note("messages to systemd", *daemon.notes, *again.notes, *last.notes)
        assert seen.findings() == []
        assert _astray(home, seen) == []
        # A refresh token beside a program's token belongs to the program: it is not even saved.
        state = [path for path in (home.path / "state").rglob("*") if path.is_file()]
        assert not any(SECRETS["refresh"].encode() in path.read_bytes() for path in state)
        assert any(SECRETS["printed"].encode() in path.read_bytes() for path in state)
        _check_that_it_was_a_test(seen, echo)


def _wait_for_failures(daemon: Daemon, text: str) -> None:
    """Every provider has got its token, or failed at least once."""
    names = set(re.findall(r"^\[providers\.([a-z-]+)\]", text, re.MULTILINE))

    def settled() -> bool:
        rows = daemon.status()["tokens"]
        assert {row["name"] for row in rows} == names
        held = [row for row in rows if row["state"] != "on_demand"]
        return all(row["valid"] or row["last_error"] for row in held)

    until(settled, "every provider", seconds=40)


def _wait_for_sinks(daemon: Daemon) -> None:
    """Every sink of a valid token has been written, or has failed."""

    def written() -> bool:
        rows = daemon.status()["tokens"]
        return all(sink["state"] != "pending" for row in rows if row["valid"] for sink in row["sinks"])

    until(written, "every sink")


def _read(daemon: Daemon, seen: Seen) -> None:
    """Tokens come where they should; reports about them do not contain them."""
    for name in ("px", "tt", "partner", "minted", "read"):
        seen.tokens[name] = daemon.lease(name)["access_token"]
    for name, parameters in (("wallet", PAYMENT), ("links", USER)):
        issued = daemon.ask("POST", f"/v1/tokens/{name}/issue", parameters)
        assert issued.status == 201, issued.body
        seen.tokens[name] = issued.json["access_token"]
    for target in ("/v1/status", "/v1/tokens", "/metrics", "/openapi.json", "/livez", "/readyz", "/v1/tokens/none"):
        seen.note(target, daemon.get(target).body)
    for name in ("px-verdict", "px-lifetime", "tt-code", "bug", "proxy", "command-fails", "tls"):
        seen.note(f"no token {name}", daemon.get(f"/v1/tokens/{name}").body)


def _ask_wrongly(daemon: Daemon, seen: Seen) -> None:
    """Secrets in every part of a request: in answers the asker's own words may come back, in the log they may not."""
    planted = SECRETS
    daemon.get(f"/v1/tokens/px?min_ttl={planted['query']}")
    daemon.get(f"/v1/tokens/px?{planted['query']}=1")
    daemon.get(f"/v1/tokens/{planted['path']}")
    daemon.get("/v1/tokens", Authorization=f"Bearer {planted['authorization']}", Prefer=planted["query"])
    daemon.get("/v1/events", Last_Event_ID=planted["query"])
    daemon.ask("BREW", f"/{planted['path']}")
    daemon.ask("POST", "/v1/tokens/px/refresh", {planted["body"]: planted["body"]})
    daemon.ask("POST", "/v1/reload", {planted["body"]: 1})
    daemon.ask("POST", "/v1/tokens/links/issue", {**USER, planted["parameter"]: "1"})
    daemon.ask("POST", "/v1/tokens/links/issue", {**USER, "username": planted["issue-value"] * 3})
    daemon.ask("POST", "/v1/tokens/wallet/issue", {"amount": planted["issue-value"]})
    for name in ("links-bad-request", "links-verdict", "links-verdict", "links-server-error"):
        # An upstream's own words about the parameters are passed on; what is ours is masked in them.
        answer = daemon.ask("POST", f"/v1/tokens/{name}/issue", {**USER, "displayName": planted["issue-value"]})
        seen.note(f"issue {name}", answer.body.replace(planted["issue-value"].encode(), b"(the asker's own)"))


def _use_loopback(listen: str, seen: Seen) -> None:
    for secret in (None, SECRETS["wrong-listen"], SECRETS["listen"]):
        connection = http.client.HTTPConnection(listen, timeout=20)
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        connection.request("GET", "/v1/status", headers=headers)
        reply = connection.getresponse()
        seen.note(f"loopback {reply.status} {secret is None}", str(reply.headers), reply.read())
        assert reply.status == (200 if secret == SECRETS["listen"] else 401)
        connection.close()


def _use_the_command_line(home: Home, seen: Seen) -> None:
    """All that prints, but what is there to print tokens."""
    for arguments in (
        ("check", str(home.config)), ("status",), ("status", "bug"), ("list",), ("verify", "px-code"),
        ("issue", "links-bad-request", "clientId=1"), ("get", "px-not-json"), ("doctor", "-o", "json"), ("doctor",),
        ("check", str(home.config), "--try-all"), ("check", "--plan", str(home.config)),
        ("check", str(home.config), "--user", "root"),
    ):  # fmt: skip
        done = home.run(*arguments)
        seen.note(f"tokend {' '.join(arguments)}", done.stdout, done.stderr)
        assert done.stdout or done.stderr, arguments


def _reload(home: Home, daemon: Daemon, text: str, seen: Seen) -> None:
    """Bad syntax, bad meaning, a plan, a good one: whatever is quoted of a line, the secret in it is not."""
    jwt = '\n[providers.x]\nkind = "jwt"\n'
    line, value, key = (SECRETS[f"broken-{what}"] for what in ("line", "value", "key"))
    broken = {
        "line": f'{jwt}secret = "{line}\n',
        "value": f'{jwt}secret = "{value}"\nttl = "1x"\nscret = "{value}"\n',
        "key": f'\n[providers.x]\nkind = "projectx"\napi_kye = "{key}"\nusername = ["{key}"]\n',
        "encoding": f'{jwt}secret = {{ file = "s/not-hex", encoding = "hex" }}\n',
    }
    for name, addition in broken.items():
        home.save(home.config, text + addition)
        planned = daemon.ask("POST", "/v1/reload?dry_run=true", {"path": str(home.config)})
        assert planned.status == 422, name
        seen.note(f"plan of a broken {name}", planned.body)
        answer = daemon.ask("POST", "/v1/reload")
        assert answer.status == 422, name
        seen.note(f"reload of a broken {name}", answer.body, daemon.get("/v1/status").body, daemon.get("/readyz").body)
    done = home.run("reload", "--dry-run")
    seen.note("tokend reload --dry-run", done.stdout, done.stderr)
    home.save(home.config, text.replace('ttl = "15m"', 'ttl = "16m"'))
    seen.note("plan", daemon.ask("POST", "/v1/reload?dry_run=true").body)
    assert daemon.ask("POST", "/v1/reload").status == 200


def _look_at_processes(home: Home, daemon: Daemon, seen: Seen) -> None:
    """What `ps` shows of the daemon, and what its children were given."""
    for name in ("cmdline", "comm", "status"):
        seen.note(f"/proc/PID/{name}", Path(f"/proc/{daemon.process.pid}/{name}").read_bytes())
    for name, last in (("seen", b"sh -c"), ("command", b"PATH=")):
        until(partial(_contains, home.out(name), last), f"the command that writes {name}")
        seen.note(f"what a command got, {name}", home.out(name).read_bytes())


def _contains(path: Path, part: bytes) -> bool:
    return part in path.read_bytes()


def _events(home: Home) -> socket.socket:
    """A reader of /v1/events, who stays."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(str(home.socket))
    connection.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
    return connection


def _astray(home: Home, seen: Seen) -> list[str]:
    """Files that hold what they should not, or that others can read although they do hold it."""
    allowed, findings = inputs_and_sinks(home), []
    for path in home.path.rglob("*"):
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            continue
        found = traces({**SECRETS, **seen.tokens}, path.read_bytes())
        private = path.is_relative_to(home.path / "state") and stat.S_IMODE(mode) == 0o600
        if found and path not in allowed and not private:
            findings.append(f"{path.relative_to(home.path)}: {found}")
        if path.name.startswith("core") or MARK in path.name:
            findings.append(f"left behind: {path.name}")
    return findings


def _check_that_it_was_a_test(seen: Seen, echo: Echo) -> None:
    """The secrets were there to be shown, and nobody led them elsewhere."""
    assert traces(
        {name: SECRETS[name] for name in ("px-key", "tt-key", "env", "command")}, "\n".join(echo.received).encode()
    )
    assert b"level=debug" in seen.shown["log"]
    assert b"TOKEND_FILE=" in seen.shown["what a command got, seen"]
    assert b"ValueError" in seen.shown["log"]
    assert b"Fatal Python error: Aborted" in seen.shown["log"]
    assert echo.elsewhere is not None
    assert echo.elsewhere.received == []
