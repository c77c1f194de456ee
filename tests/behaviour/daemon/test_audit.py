"""`audit = "reads"`: every way on which a token leaves the daemon has a line; the value is in none."""

import http.client
import json
import os
import re
import socket
from pathlib import Path

from tests.daemon.harness import Daemon, Home, _UnixConnection, loopback_address, until
from tests.daemon.tables import DAEMON, PARTNER, WALLET

SECRET = "obviously-fake-loopback-secret-of-more-than-32-bytes"
LISTEN = loopback_address()
AUDIT = (
    DAEMON
    + f'listen = "{LISTEN}"\nlisten_secret = {{ file = "s/listen" }}\ncredentials_socket = "run/c.sock"\n'
    + 'log_level = "error"\naudit = "reads"\n[[sockets]]\npath = "run/bot.sock"\ntokens = ["partner"]\n'
)
SINK = '[[providers.partner.sinks]]\nkind = "socket"\npath = "run/partner.sock"\n'
ACCESS = f'[providers.partner.access]\nunits = ["*"]\nusers = ["{os.geteuid()}"]\n'


def audited(daemon: Daemon) -> list[dict[str, str]]:
    """The fields of each audit line so far."""
    lines = daemon.log("token.handed_out")
    return [dict(re.findall(r'(\w+)=("[^"]*"|\S+)', line)) for line in lines]


def heard(daemon: Daemon, way: str) -> dict[str, str]:
    """Wait for the line of a way."""

    def look() -> dict[str, str] | None:
        return next((line for line in audited(daemon) if way in line["way"].strip('"').split(",")), None)

    return until(look, way)


def raw(path: Path, *, name: str | None = None) -> bytes:
    """Read a raw-token socket to its end; ``name`` is the name to connect from."""
    with socket.socket(socket.AF_UNIX) as client:
        if name is not None:
            client.bind(name)
        client.connect(str(path))
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_every_way_of_a_token_has_a_line_and_no_value(home: Home) -> None:
    """Sockets, loopback, credentials, sinks, forms, refresh and issue, at every log level."""
    home.secret("listen", SECRET)
    home.write(PARTNER, SINK, ACCESS, WALLET, daemon=AUDIT)
    daemon = home.start().settled()
    lease = daemon.lease("partner")
    token, generation = lease["access_token"], str(lease["generation"])
    values = {token}

    line = heard(daemon, "get json")
    assert (line["token"], line["uid"], line["generation"], line["count"]) == (
        "partner", str(os.geteuid()), generation, "1",
    )  # fmt: skip
    assert line["level"] == "info"
    assert daemon.get("/v1/tokens/partner", Accept="text/plain").body.decode() == token
    heard(daemon, "get text")
    answer = daemon.ask("POST", "/v1/tokens/partner/refresh", {"if_generation": int(generation) - 1})
    values.add(answer.json["access_token"])
    heard(daemon, "refresh json")
    issued = daemon.ask("POST", "/v1/tokens/wallet/issue", {"url": "/"})
    values.add(issued.json["access_token"])
    line = heard(daemon, "issue json")
    assert (line["token"], "generation" in line) == ("wallet", False)
    assert raw(home.path / "run/partner.sock").decode() == token
    heard(daemon, "socket")
    assert raw(home.path / "run/c.sock", name=f"\0{os.getpid():x}/unit/bot.service/partner").decode() == token
    line = heard(daemon, "credentials.sock")
    assert "bot.service" in line["unit"]
    connection: http.client.HTTPConnection = _UnixConnection(home.path / "run/bot.sock")
    connection.request("GET", "/v1/tokens/partner?min_ttl=1s")
    assert json.loads(connection.getresponse().read())["access_token"] == token
    connection.close()
    for command in (("get", "partner", "-o", "k8s"), ("exec", "--env", "A=partner", "--", "true")):
        assert home.run(*command).returncode == 0
    daemon.end()
    text = home.log.read_text()
    assert not any(value in text for value in values)
    # Each of the hand-outs above is counted once.
    assert sum(int(line["count"]) for line in audited(daemon) if line["token"] == "partner") == 8


def test_over_loopback_there_is_a_line_without_a_uid(home: Home) -> None:
    """The kernel names no peer there; a refused request has none."""
    home.secret("listen", SECRET)
    home.write(PARTNER, daemon=AUDIT)
    daemon = home.start().settled()
    for authorization, status in (("wrong", 401), (f"Bearer {SECRET}", 200)):
        connection = http.client.HTTPConnection(LISTEN, timeout=20)
        connection.request("GET", "/v1/tokens/partner", headers={"Authorization": authorization})
        assert connection.getresponse().status == status
        connection.close()
    line = heard(daemon, "get json over loopback")
    assert "uid" not in line
    assert len(audited(daemon)) == 1


def test_what_hands_out_nothing_has_no_line(home: Home) -> None:
    """Lists, status, metrics, an unchanged token, HEAD, errors, request ids; and nothing at all by default."""
    home.secret("listen", SECRET)
    home.write(PARTNER, WALLET, daemon=AUDIT)
    daemon = home.start().settled()
    lease = daemon.lease("partner")
    heard(daemon, "get json")
    for target in ("/v1/tokens", "/v1/status", "/metrics", "/readyz", "/v1/tokens/none", "/v1/tokens/wallet"):
        daemon.get(target)
    assert daemon.get("/v1/tokens/partner", If_None_Match=f'"{lease["generation"]}"').status == 304
    assert daemon.ask("HEAD", "/v1/tokens/partner").status == 200
    assert daemon.get("/v1/tokens/partner?format=aws").status == 406
    assert daemon.ask("POST", "/v1/tokens/wallet/issue", {"wrong": "x"}).status == 400
    daemon.end()
    assert [line["count"] for line in audited(daemon)] == ["1"]
    home.log.unlink()
    home.write(PARTNER, daemon=DAEMON)
    daemon = home.start().settled()
    daemon.lease("partner")
    daemon.end()
    assert audited(daemon) == []


def test_a_reload_switches_it_also_for_requests_that_are_known(home: Home) -> None:
    """The quick path answers without a line; it is left while lines are wanted."""
    home.write(PARTNER, daemon=DAEMON)
    daemon = home.start().settled()
    for _ in range(3):
        daemon.lease("partner")
    home.write(PARTNER, daemon=DAEMON + 'audit = "reads"\n')
    assert daemon.ask("POST", "/v1/reload").status == 200
    for _ in range(3):
        daemon.lease("partner")
    home.write(PARTNER, daemon=DAEMON)
    assert daemon.ask("POST", "/v1/reload").status == 200
    daemon.lease("partner")
    daemon.end()
    assert sum(int(line["count"]) for line in audited(daemon)) == 3
