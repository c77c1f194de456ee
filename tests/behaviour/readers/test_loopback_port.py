"""Programs that know no Unix sockets read the loopback port and the token files: SDKs of clouds, and Prometheus."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from tests.behaviour.readers.programs import needs, needs_package, run, upstream
from tests.cli.running import PATIENCE_SECONDS, Running, daemon, environment, eventually, short_directory, write_config
from tests.daemon.harness import loopback_address

SECRET = "obviously-fake-secret-of-the-loopback-port"
KEYS = {"AccessKeyId": "AKIAFAKE", "SecretAccessKey": "fake-secret", "SessionToken": "fake-session"}
CONFIG = """\
[daemon]
socket = "tokend.sock"
state_directory = "state"
listen = "{listen}"
listen_secret = {{{{ file = "secrets/listen" }}}}

[providers.partner]
kind = "jwt"
secret = {{{{ file = "secrets/partner" }}}}
ttl = "15m"
claims = {{{{ clientId = "sandbox-client" }}}}
jti = true

[[providers.partner.sinks]]
kind = "raw"
path = "partner.jwt"

[[providers.partner.sinks]]
kind = "json"
path = "partner.json"

[providers.aws]
kind = "projectx"
initial_token = {{{{ file = "secrets/keys" }}}}
"""


@dataclass
class Port:
    """A daemon with a loopback port, and where its secret is."""

    running: Running
    listen: str

    @property
    def secret(self) -> Path:
        return self.running.directory / "secrets" / "listen"

    def url(self, target: str) -> str:
        return f"http://{self.listen}{target}"


@pytest.fixture(scope="session")
def botocore() -> None:
    """Of a wider scope than the daemon, so that none is started where this is not installed."""
    needs_package("botocore")


@pytest.fixture(scope="session")
def google() -> None:
    """As above."""
    needs_package("google", "google.auth", "requests")


@pytest.fixture(scope="session")
def scraper() -> None:
    """As above."""
    needs("prometheus")


@pytest.fixture(scope="module")
def port() -> Iterator[Port]:
    """One for all tests here: none of them may leave it other than it was."""
    listen = loopback_address()
    with short_directory() as directory:
        config = write_config(directory, CONFIG.format(listen=listen))
        # Without a newline: AWS's SDKs refuse one.
        (directory / "secrets" / "listen").write_text(SECRET)
        (directory / "secrets" / "keys").write_text(json.dumps(KEYS, separators=(",", ":")))
        with daemon(config) as running:
            for name in ("partner", "aws"):
                running.becomes(name, "valid")
            assert eventually((directory / "partner.json").exists)
            yield Port(running, listen)


@pytest.mark.usefixtures("botocore")
def test_botocore_signs_with_what_the_container_endpoint_gives(port: Port, tmp_path: Path) -> None:
    """Two variables, as in a container of ECS or EKS: the key pair, its session, its end; a call is signed by it."""
    program = (
        "import botocore.session, json, sys\n"
        "session = botocore.session.Session()\n"
        "found = session.get_credentials()\n"
        "sts = session.create_client('sts', region_name='us-east-1', endpoint_url=sys.argv[1])\n"
        "account = sts.get_caller_identity()['Account']\n"
        "end = found._expiry_time.timestamp()\n"
        "print(json.dumps([found.method, found.access_key, found.secret_key, found.token, account, end]))\n"
    )
    answer = b"<R><GetCallerIdentityResult><Account>1</Account></GetCallerIdentityResult></R>"
    with upstream(answer) as server:
        out = run(
            sys.executable, "-W", "ignore", "-c", program, server.url, HOME=str(tmp_path),
            AWS_CONTAINER_CREDENTIALS_FULL_URI=port.url("/v1/tokens/aws?format=aws"),
            AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(port.secret),
        )  # fmt: skip
    *found, end = json.loads(out)
    assert found == ["container-role", *KEYS.values(), "1"]
    expires_at = port.running.client.get("aws").expires_at
    assert expires_at is not None
    assert end == int(expires_at.timestamp())
    [authorization] = server.authorizations
    assert "Credential=AKIAFAKE/" in str(authorization)
    assert "x-amz-security-token" in str(authorization)


@pytest.mark.usefixtures("google")
@pytest.mark.parametrize("source", ["url, json", "url, text", "file, json", "file, text"])
def test_google_auth_exchanges_the_token(port: Port, tmp_path: Path, source: str) -> None:
    """`external_account`, sourced from the port or from a file, in either format: our JWT is what is exchanged."""
    place, form = source.split(", ")
    bearer = {"Authorization": f"Bearer {SECRET}"}
    origin: dict[str, Any] = {"format": {"type": form}}
    if form == "json":
        origin["format"]["subject_token_field_name"] = "access_token"
    else:
        bearer["Accept"] = "text/plain"
    if place == "url":
        origin |= {"url": port.url("/v1/tokens/partner"), "headers": bearer}
    else:
        origin["file"] = str(port.running.directory / ("partner.json" if form == "json" else "partner.jwt"))
    exchanged = {
        "access_token": "fake", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer", "expires_in": 3600,
    }  # fmt: skip
    program = (
        "import sys\nfrom google.auth import identity_pool\nfrom google.auth.transport.requests import Request\n"
        "found = identity_pool.Credentials.from_file(sys.argv[1], scopes=['x'])\nfound.refresh(Request())\n"
        "print(found.token)\n"
    )
    with upstream(json.dumps(exchanged).encode()) as server:
        account = {
            "type": "external_account", "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/a/providers/b",
            "token_url": f"{server.url}/v1/token", "credential_source": origin,
        }  # fmt: skip
        (tmp_path / "account.json").write_text(json.dumps(account))
        out = run(sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "account.json"), HOME=str(tmp_path))
    assert out == "fake\n"
    assert f"subject_token={port.running.client.get('partner').access_token}&" in server.bodies[0].decode() + "&"


@contextmanager
def prometheus(directory: Path, *jobs: dict[str, Any]) -> Iterator[str]:
    """Run Prometheus; gives its own address."""
    own = loopback_address(19090)  # its usual port may be that of one that runs here
    jobs_of_text = [{"scrape_interval": "250ms", "scrape_timeout": "250ms", **job} for job in jobs]
    # Every JSON document is YAML, too.
    (directory / "prometheus.yml").write_text(json.dumps({"scrape_configs": jobs_of_text}))
    argv = [
        "prometheus", f"--config.file={directory / 'prometheus.yml'}", f"--web.listen-address={own}",
        f"--storage.tsdb.path={directory / 'data'}", "--log.level=warn",
    ]  # fmt: skip
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, env=environment())
    try:
        yield own
        assert process.poll() is None, (directory / "log").read_text()
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def value(own: str, query: str) -> str | None:
    """What Prometheus has for an expression now; None while there is nothing."""
    try:
        with urlopen(f"http://{own}/api/v1/query?query={quote(query)}", timeout=PATIENCE_SECONDS) as answer:
            found = json.load(answer)["data"]["result"]
    except URLError:
        return None
    return str(found[0]["value"][1]) if found else None


@pytest.mark.usefixtures("scraper")
def test_prometheus_scrapes_with_a_token_file_and_is_shown_the_metrics(port: Port, tmp_path: Path) -> None:
    """`bearer_token_file` is a raw sink, read at each scrape; tokend's own metrics are behind the port's secret."""
    bearer = "Bearer " + port.running.client.get("partner").access_token
    with upstream(b"up_and_well 1\n") as server:
        jobs: list[dict[str, Any]] = [
            {
                "job_name": "protected", "bearer_token_file": str(port.running.directory / "partner.jwt"),
                "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}],
            },
            {
                "job_name": "tokend", "authorization": {"credentials_file": str(port.secret)},
                "static_configs": [{"targets": [port.listen]}],
            },
        ]  # fmt: skip
        with prometheus(tmp_path, *jobs) as own:
            assert eventually(lambda: value(own, 'tokend_token_valid{token="partner"}') == "1")
            assert eventually(lambda: bearer in server.authorizations)
            assert port.running.tokend("refresh", "partner").code == 0
            newer = "Bearer " + port.running.client.get("partner").access_token
            assert newer != bearer
            assert eventually(lambda: newer in server.authorizations)
            assert eventually(lambda: value(own, 'up{job="tokend"}') == "1")
    assert set(server.authorizations) == {bearer, newer}
