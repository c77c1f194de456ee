"""A sandbox and a daemon in a temporary place, where the commands of a page run as a reader would run them.

The pages name places of a real host and the vendors' real hosts. A stage puts its own directory and its sandbox in
their places, in what it runs and, the other way round, in what a command prints.
"""

import grp
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.daemon.harness import loopback_address
from tests.docs.pages import ROOT, Block, blocks, commands, configuration
from tests.providers.private_keys import ec_pem
from tokend.sandbox import Options, Sandbox, start
from tokend.sandbox.rs256 import private_key_pem
from tokend.sandbox.vendors.google import key_file

PATIENCE_SECONDS = 60.0
KINDS = ROOT / "docs/kinds.md"
HOSTS = re.compile(
    r"https://(?:oauth2\.googleapis\.com|api\.topstepx\.com|api\.github\.com|ttrestapi\.trade\.tt|wdcf\.xerve\.online|(?:partner|wallet|vault|login)\.example\.com)(?=[\"'/\s:?]|$)"
)
PLACES = re.compile(r"(?<![\w/.])/(?:run/tokend|run/mesh|etc/tokend|srv/bot)(?=[\"'/\s.:,)]|$)")
# What a page of kinds shows and no other page lists.
ONLY_ON_ITS_PAGE = {
    "providers.vault-login",
    "providers.github",
    "providers.google",
    "providers.google-identity",
    "providers.api",
    "providers.cloud",
    "providers.mesh",
    "providers.acme",
    "providers.broker",
    "providers.exchange",
    "providers.session",
}
MARK = "<end of a command>"
LISTEN = "127.0.0.1:9464"
ENVIRON = {
    "PROJECT_X_USERNAME": "sandbox-user",
    "PROJECT_X_API_KEY": "sandbox-projectx-key",
    "WALLET_AUTH_KEY": "sandbox-wallet-key",
    "WALLET_ENC_KEY": "sandbox-wallet-secret",
    "CLIENT_SECRET": "sandbox-xerve-secret",
}
SECRETS = {
    "tt.key": "sandbox-tt-key",
    "tt.secret": "sandbox-tt-secret",
    "partner.secret": "an-obviously-fake-secret-of-a-partner",
    "listen.secret": "an-obviously-fake-secret-of-a-port",
    "vault.role-id": "sandbox-role-id",
    "vault.secret-id": "sandbox-secret-id",
    "github-app.pem": private_key_pem(),
    "snowflake.p8": private_key_pem(),
    "api.secret": "sandbox-oauth2-secret",
    "exchange.pem": ec_pem(),
}

# The accounts that the pages name.
OPTIONS = Options(
    partner_client_id="your-client-id", partner_secret=SECRETS["partner.secret"],
    github_client_id="Iv23liExample", github_installation="12345678", github_owner="your-org",
    oauth2_client_id="your-client-id", oauth2_public_client_id="your-ci-client",
)  # fmt: skip


@dataclass
class Stage:
    """A directory with a running sandbox and daemon. ``run`` runs a command in it."""

    path: Path
    sandbox: Sandbox
    listen: str = field(default_factory=loopback_address)

    def mapped(self, text: str) -> str:
        """Replace the places and hosts of a page by those of this stage."""
        text = PLACES.sub(lambda match: f"{self.path}{match[0]}", text)
        text = HOSTS.sub(self.sandbox.url, text).replace(LISTEN, self.listen)
        return text.replace('"tokend-clients"', f'"{grp.getgrgid(os.getgid()).gr_name}"')

    def unmapped(self, text: str) -> str:
        """Replace the places of this stage by those of a page."""
        # The configuration of a page has https, and no warning about the sandbox's plain http.
        text = re.sub(r"^ +warning +(?:base_url|address): plain http.*\n", "", text, flags=re.MULTILINE)
        text, left_out = re.subn(
            r"^warning: .*(?:base_url|address): plain http.*\n(?:    .*\n)*", "", text, flags=re.MULTILINE
        )
        if left_out:
            text = re.sub(rf"\b{left_out} warnings?$", "0 warnings", text, flags=re.MULTILINE)
        text = re.sub(rf"{self.path}(?=/(?:run|etc|srv)/)", "", text)
        return text.replace(f"{self.path}/", "").replace(self.listen, LISTEN)

    def write(self, block: Block) -> None:
        """Write a block that is marked as a file, below the stage's directory; the configuration is there already."""
        if not block.file.endswith("config.toml"):
            (self.path / block.file.removeprefix("/")).write_text(self.mapped(block.text))

    def console(self, block: Block) -> list[str]:
        """Run the commands of a console block in one shell; returns the output of each."""
        script = "".join(f"{self.mapped(command.text)}\nprintf '{MARK}\\n'\n" for command in commands(block))
        return self.unmapped(self.run("bash", "-c", script).stdout).split(f"{MARK}\n")[:-1]

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program; stderr comes with stdout, as on a terminal."""
        return subprocess.run(
            argv, cwd=self.path, env=self.environ(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=PATIENCE_SECONDS, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def environ(self) -> dict[str, str]:
        """Return the environment of a reader of tokens: no secret in it."""
        return {
            "PATH": os.pathsep.join((str(self.path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"])),
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.path),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "no_proxy": "*",
            "TOKEND_SOCKET": str(self.path / "run/tokend/tokend.sock"),
            "TOKEND_FILES": str(self.path / "run/tokend"),
        }


def key_of_a_curve() -> str:
    """Make a private key for ES256."""
    form = serialization
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()


@contextmanager
def staged(page: Path) -> Iterator[Stage]:
    """Run a daemon with the configuration of a page: a block marked as config.toml, else its blocks and all kinds'."""
    path = Path(tempfile.mkdtemp(prefix="tokend-"))
    with start(OPTIONS) as sandbox:
        stage = Stage(path, sandbox)
        try:
            _furnish(stage)
            with _daemon(stage, stage.mapped(_configuration(page))):
                yield stage
        finally:
            shutil.rmtree(path)


def _configuration(page: Path) -> str:
    whole = [block.text for block in blocks(page, "toml") if block.file.endswith("config.toml")]
    own = configuration(page)
    defined = set(re.findall(r"^\[(providers\.[\w-]+)\]$", own, re.MULTILINE))
    others = configuration(KINDS) if page != KINDS else ""
    for name in defined | ONLY_ON_ITS_PAGE if others else ():
        # With the tables below it.
        own_tables, another = rf"^\[{name}\]\n.*?", rf"^\[providers\.(?!{name.partition('.')[2]}\.)"
        others = re.sub(rf"{own_tables}(?={another}|\Z)", "", others, flags=re.MULTILINE | re.DOTALL)
    text = whole[0] if whole else own + others.replace("[daemon]\n", "")
    # Nobody answers at their hosts.
    for name in ("acme", "broker"):
        text = text.replace(f"[providers.{name}]\n", f"[providers.{name}]\nrequired = false\n")
    # Real configurations leave out the address that the kind knows by itself.
    text = text.replace('kind = "tt"\n', 'kind = "tt"\nbase_url = "https://ttrestapi.trade.tt"\n')
    return text.replace('kind = "github-app"\n', 'kind = "github-app"\nbase_url = "https://api.github.com"\n')


def _furnish(stage: Stage) -> None:
    for folder in ("run/tokend", "run/mesh", "etc/tokend", "srv/bot", "bin", "state"):
        (stage.path / folder).mkdir(parents=True)
    curve = {name: key_of_a_curve() for name in ("app-store.p8", "coinbase.pem")}
    for name, value in {**SECRETS, **curve}.items():
        secret = stage.path / "etc/tokend" / name
        secret.write_text(value)
        secret.chmod(0o600)
    key = json.dumps(key_file(stage.sandbox.url, OPTIONS.google_client_email))
    for name, value in (("etc/tokend/google-key.json", key), ("id-token", OPTIONS.oauth2_subject_token)):
        (stage.path / name).write_text(value)
        (stage.path / name).chmod(0o600)
    # What other programs would bring.
    (stage.path / "run/mesh/token").write_text("an-obviously-fake-token-of-a-mesh\n")
    (stage.path / "run/mesh/token").chmod(0o600)
    (stage.path / "bin/gcloud").write_text("#!/bin/sh\necho an-obviously-fake-token-of-a-cloud\n")
    (stage.path / "bin/gcloud").chmod(0o755)
    # Programs as an installation makes them, but of this working tree.
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    for name, place in scripts.items():
        module, _, function = place.partition(":")
        program = stage.path / "bin" / name
        program.write_text(f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
        program.chmod(0o755)


@contextmanager
def _daemon(stage: Stage, config: str) -> Iterator[None]:
    file, log = stage.path / "etc/tokend/config.toml", stage.path / "log"
    file.write_text(config)
    environ = {
        **stage.environ(), **ENVIRON,
        "STATE_DIRECTORY": str(stage.path / "state"), "RUNTIME_DIRECTORY": str(stage.path / "run/tokend"),
    }  # fmt: skip
    with log.open("wb") as output, subprocess.Popen(
        [str(stage.path / "bin/tokend"), "run", "--config", str(file)],
        env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=stage.path,
    ) as process:  # fmt: skip
        try:
            _wait_until_ready(stage, process, log)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_SECONDS)


def _wait_until_ready(stage: Stage, process: "subprocess.Popen[bytes]", log: Path) -> None:
    ready = ("curl", "-sf", "--unix-socket", str(stage.path / "run/tokend/tokend.sock"), "http://localhost/readyz")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if stage.run(*ready).returncode == 0:
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"the daemon is not ready:\n{log.read_text()}")
