"""Secrets in every place where one can stand, and the configuration that puts them there."""

import hashlib
import json
from pathlib import Path

import pyrage
import trustme

from tests.daemon.harness import Home
from tests.daemon.tables import ALL_KINDS, DAEMON
from tests.providers.private_keys import google_key, rsa_pem
from tests.secrets.echo import MODES


def planted(name: str) -> str:
    """A secret of its own for a place: its first and its last eight characters stand nowhere else."""
    digest = hashlib.sha256(b"planted " + name.encode()).hexdigest()
    return f"{digest[:8]}-planted-fake-{name}-{digest[8:16]}"


# Files in ``s/``, and what the sandbox takes them for.
ACCEPTED = {
    "px-user": "projectx_username",
    "px-key": "projectx_api_key",
    "tt-key": "tt_api_key",
    "tt-secret": "tt_api_secret",
    "partner": "partner_secret",
    "wallet-key": "wallet_key",
    "wallet-secret": "wallet_secret",
    "xerve": "xerve_client_secret",
    "oauth-secret": "oauth2_client_secret",
    "oauth-refresh": "oauth2_refresh_token",
}
OTHERS = (
    "literal", "env", "credential", "command", "stderr", "not-hex", "proxy", "listen", "pem", "claim", "header",
    "neighbour", "open-quote", "template", "old-comment", "query", "path", "wrong-listen", "authorization", "parameter",
    "issue-value", "body", "broken-line", "broken-value", "broken-key", "printed", "refresh", "variable", "in-a-file",
    "github-key", "google-key", "in-json", "sealed", "identity", "vault-token",
)  # fmt: skip
SECRETS = {name: planted(name) for name in (*ACCEPTED, *OTHERS)}

# What a command of ours is given of our environment and arguments; the shell's own are its.
HOOK = """on_change = ["sh", "-c", "env > out/seen; tr '\\\\0' ' ' < /proc/$$/cmdline >> out/seen"]
"""
_SINKS = """
[[providers.px.sinks]]
kind = "dotenv"
path = "out/open.env"
key = "KEY"
style = "posix"

[[providers.px.sinks]]
kind = "raw"
path = "nowhere/raw"

[[providers.px.sinks]]
kind = "template"
path = "out/wrong"
template = "{{{{ access_token|int(default=access_token).foo }}}}{{{{ tokens[access_token] }}}}TEMPLATE"

[[providers.tt.sinks]]
kind = "template"
path = "out/right"
template = "{{{{ access_token }}}} TEMPLATE"

[[providers.partner.sinks]]
kind = "socket"
path = "run/partner.sock"
"""


def lay_out(home: Home) -> dict[str, str]:
    """Write the files around the configuration; returns the daemon's environment."""
    for name, value in SECRETS.items():
        home.secret(name, value)
    # A refresh token beside the token: of a program that refreshes, and none of ours.
    answer = {"access_token": SECRETS["printed"], "expires_in": 3600, "refresh_token": SECRETS["refresh"]}
    home.secret("printed", json.dumps(answer))
    # Keys that sign. Text between the blocks of PEM is allowed.
    home.secret("github-key", f"{SECRETS['github-key']}\n{rsa_pem()}")
    home.secret("google-key", json.dumps({**json.loads(google_key()), "project_id": SECRETS["google-key"]}))
    home.secret("in-json", json.dumps({"key": SECRETS["in-json"], "several": [SECRETS["in-json"]]}))
    identity = pyrage.x25519.Identity.generate()
    home.secret("identity", f"# {SECRETS['identity']}\n{identity}\n")
    (home.path / "s" / "sealed").write_bytes(pyrage.encrypt(SECRETS["sealed"].encode(), [identity.to_public()]))
    out = home.path / "out"
    (out / "bot.env").write_text(f"# {SECRETS['old-comment']}\nTHEIRS='{SECRETS['neighbour']}'\nJWT_TOKEN=\n")
    (out / "open.env").write_text(f'A="{SECRETS["open-quote"]}\nKEY=1\n')
    # A real certificate with its key: a broken one is refused. Text between the blocks of PEM is allowed.
    issued = trustme.CA().issue_cert("client.example")
    home.save(
        home.path / "s" / "client.pem", f"{SECRETS['pem']}\n{issued.private_key_and_cert_chain_pem.bytes().decode()}"
    )
    (home.path / "c").mkdir(mode=0o700)
    home.save(home.path / "c" / "credential", SECRETS["credential"])
    return {"PLANTED_ENV": SECRETS["env"], "CREDENTIALS_DIRECTORY": str(home.path / "c")}


def tables(echo: str, listen: str) -> str:
    """The daemon's table and every provider: five that work, one for each way of an upstream to echo, some that fail
    on this machine."""
    daemon = DAEMON + f'log_level = "debug"\nlisten = "{listen}"\nlisten_secret = {{{{ file = "s/listen" }}}}\n'
    good = _good().replace("TEMPLATE", SECRETS["template"])
    bad = [_projectx(f"px-{mode}", f"{echo}/{mode}") for mode in MODES]
    bad += [_tt(f"tt-{mode}", f"{echo}/{mode}") for mode in ("verdict", "see-other", "code", "controls")]
    bad += [_oauth(f"oauth-{mode}", f"{echo}/{mode}", "client_credentials") for mode in MODES]
    bad += [_oauth(f"login-{mode}", f"{echo}/{mode}", "refresh_token") for mode in ("bad-request", "code", "redirect")]
    signed = ("verdict", "bad-request", "server-error", "redirect", "code")
    bad += [make(f"{name}-{mode}", f"{echo}/{mode}") for mode in signed for name, make in SIGNED.items()]
    bad += [_links(f"links-{mode}", f"{echo}/{mode}") for mode in ("bad-request", "verdict", "server-error")]
    bad += [
        _projectx("by-env", f"{echo}/not-json", key='{{ env = "PLANTED_ENV" }}'),
        _projectx("by-credential", f"{echo}/code", key='{{ credential = "credential" }}'),
        _projectx("by-command", f"{echo}/code", key=_command("echo {stderr} >&2; env > out/command; cat s/command")),
        _projectx("command-fails", f"{echo}/code", key=_command("cat s/command; cat s/command >&2; exit 7")),
        _projectx("by-select", f"{echo}/code", key='{{ file = "s/in-json", select = "key" }}'),
        # (A file in which a check finds no secret would refuse the reload.)
        _projectx("select-fails", f"{echo}/code", key='{{ command = ["cat", "s/in-json"], select = "several" }}'),
        _projectx("select-in-text", f"{echo}/code", key='{{ command = ["cat", "s/px-key"], select = "key" }}'),
        _projectx("by-age", f"{echo}/code", key='{{ age = "s/sealed", identity = "s/identity" }}'),
        _projectx("tls", "https://127.0.0.1:9", more='client_cert = "s/client.pem"\n'),
        _projectx("proxy", "https://upstream.invalid", more=f'proxy = "http://u:{SECRETS["proxy"]}@127.0.0.1:9"\n'),
        _projectx("proxy-verdict", "https://upstream.invalid", more=f'proxy = "{_proxy(echo)}"\n'),
        _projectx("bug", f"{echo}/bug"),
        _minted("minted", "cat s/printed", more='format = "oauth"\n'),
        _minted("minted-fails", "cat s/printed; cat s/printed s/variable >&2; exit 7"),
        _minted("minted-garbled", "cat s/printed s/variable"),
        '\n[providers.read]\nkind = "file"\npath = "s/in-a-file"\nrequired = false\n',
        '\n[providers.read-wrong]\nkind = "file"\npath = "s/printed"\nformat = "native"\nrequired = false\n',
    ]
    bad += [_in_vault(mode, f"{echo}/{mode}") for mode in MODES]
    return daemon + good + "".join(bad)


def _good() -> str:
    literal = ALL_KINDS.replace('{{ file = "s/px-user" }}', json.dumps(SECRETS["px-user"]))
    claims = literal.replace("claims = {{ ", f'claims = {{{{ planted = "{SECRETS["claim"]}", ')
    hooked = claims.replace('path = "out/bot.env"\n', f'path = "out/bot.env"\n{HOOK}')
    headers = f'headers = {{{{ X-Extra = "{SECRETS["header"]}" }}}}\n'
    login = _oauth("login", "{url}/oauth2/token", "refresh_token")
    return hooked.replace('kind = "tt"\n', f'kind = "tt"\n{headers}') + login + _SINKS


def _proxy(echo: str) -> str:
    return echo.replace("http://", f"http://u:{SECRETS['proxy']}@")


def _command(script: str) -> str:
    argv = ["sh", "-c", script.format(stderr=SECRETS["stderr"])]
    return f"{{{{ command = {json.dumps(argv)} }}}}"


def _projectx(name: str, url: str, *, key: str = '{{ file = "s/px-key" }}', more: str = "") -> str:
    return (
        f'\n[providers.{name}]\nkind = "projectx"\nbase_url = "{url}"\nrequired = false\n{more}'
        f'username = {{{{ file = "s/px-user" }}}}\napi_key = {key}\n'
    )


def _in_vault(mode: str, url: str) -> str:
    vault = f'\n[vaults.echo-{mode}]\naddress = "{url}"\nauth = {{{{ file = "s/vault-token" }}}}\n'
    key = f'{{{{ vault = "echo-{mode}", path = "a", field = "token" }}}}'
    return vault + _projectx(f"vault-{mode}", url, key=key)


def _minted(name: str, script: str, *, more: str = "") -> str:
    return (
        f'\n[providers.{name}]\nkind = "command"\nrequired = false\ncommand = {json.dumps(["sh", "-c", script])}\n'
        f'env = {{{{ KEY = {{{{ file = "s/variable" }}}} }}}}\n{more}'
    )


def _tt(name: str, url: str) -> str:
    return (
        f'\n[providers.{name}]\nkind = "tt"\nbase_url = "{url}"\nenvironment = "uat"\nrequired = false\n'
        'app_name = "A"\ncompany_name = "C"\n'
        'api_key = {{ file = "s/tt-key" }}\napi_secret = {{ file = "s/tt-secret" }}\n'
    )


def _oauth(name: str, url: str, grant: str) -> str:
    more = 'refresh_token = {{ file = "s/oauth-refresh" }}\n' if grant == "refresh_token" else ""
    return (
        f'\n[providers.{name}]\nkind = "oauth2"\ntoken_url = "{url}"\ngrant = "{grant}"\nrequired = false\n'
        'client_id = "sandbox-oauth2-client"\nclient_auth = "client_secret_post"\n'
        f'client_secret = {{{{ file = "s/oauth-secret" }}}}\n{more}'
    )


def _github(name: str, url: str) -> str:
    return (
        f'\n[providers.{name}]\nkind = "github-app"\nbase_url = "{url}"\nclient_id = "a"\ninstallation = 1\n'
        'private_key = {{ file = "s/github-key" }}\nrequired = false\n'
    )


def _google(name: str, url: str) -> str:
    return (
        f'\n[providers.{name}]\nkind = "google-service-account"\nbase_url = "{url}"\nscope = "email"\n'
        'key = {{ file = "s/google-key" }}\nrequired = false\n'
    )


def _links(name: str, url: str) -> str:
    return (
        f'\n[providers.{name}]\nkind = "auth-token"\nbase_url = "{url}"\nclient_secret = {{{{ file = "s/xerve" }}}}\n'
    )


# Kinds whose requests hold a JWT that is signed with a private key.
SIGNED = {"github": _github, "google": _google}


def inputs_and_sinks(home: Home) -> set[Path]:
    """Where the planted secrets and the tokens may lie: what was written by hand, and the sinks that were asked for."""
    names = ("bot.env", "open.env", "tt_token.json", "partner.jwt", "right")
    return {home.config, *(home.path / "s").iterdir(), *(home.path / "c").iterdir(), *map(home.out, names)}
