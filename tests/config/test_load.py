"""Loading: each error has file, line, column and message; a near miss has "did you mean"."""

from pathlib import Path

import pytest

from tests.config.written import AUTH_TOKEN, PARTNER, PROJECTX, TT, WALLET, loaded, only, refused, written
from tokend.config import load
from tokend.kinds import PROVIDERS, SINKS


@pytest.mark.parametrize(
    ("table", "line"),
    [
        (PARTNER, ['ttl = "1ms"', 'ttl = "1000ms"'][1]),
        (PARTNER, 'refresh_before = "99%"'),
        (PARTNER, 'refresh_before = "1%"\nbackdate = "30s"'),
        (PARTNER, 'headers = { X_y-1 = "a b", Empty = "" }'),
        (PARTNER, 'sinks = [{ kind = "raw", path = "x", signal = { pid_file = "y", signal = "USR1" } }]'),
        (PARTNER, 'sinks = [{ kind = "raw", path = "x", write = "in-place", symlink = "replace" }]'),
        (PARTNER, "sinks = []"),
        (PARTNER.replace("partner", "0" + "a._-" * 15).replace("providers.", 'providers."').replace("]", '"]', 1), ""),
        (WALLET, 'required = false\ntimeout = "1s"\naccess = { units = ["*"] }'),
        (AUTH_TOKEN, 'expiration = "1d"\nbase_url = "http://localhost:1/x/"'),
        (PROJECTX, 'base_url = "https://[::1]:8080"\nproxy = "http://user:fake@proxy:3128"\nrefresh = "validate"'),
        (TT, 'on_expiry = "remove"'),
        ("", '[daemon]\nlog_format = "json"\nlog_level = "debug"\nsocket_mode = "0000"\nadmins = []'),
    ],
)
def test_what_the_contract_allows_is_accepted(tmp_path: Path, table: str, line: str) -> None:
    """The limits of each key's values are accepted."""
    loaded(written(tmp_path, table + line + "\n"))


def test_the_contract_s_own_example_is_accepted(tmp_path: Path) -> None:
    """The example in docs/promises.md is valid, and its values arrive in the settings."""
    written(tmp_path, "tt key", name="credentials/tt-key")
    written(tmp_path, "tt secret", name="credentials/tt-secret")
    written(tmp_path, "partner secret of more than 32 bytes", name="partner.secret")
    names = ("PROJECT_X_USERNAME", "PROJECT_X_API_KEY", "WALLET_AUTH_KEY", "WALLET_ENC_KEY", "CLIENT_SECRET")
    environ = dict.fromkeys(names, "fake") | {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    # As at a start: this machine need not know the group.
    config = load(written(tmp_path, CONTRACT), providers=PROVIDERS, sinks=SINKS, environ=environ, starting=True)
    assert list(config.providers) == ["topstepx", "tt", "partner", "wallet", "login-links"]
    assert config.daemon.socket_group == "tokend-clients"
    assert [sink.target for sink in config.providers["tt"].sinks] == ["/run/tokend/tt_token.json"]
    assert config.providers["topstepx"].sinks[0].kind == "dotenv"


CONTRACT = """\
[daemon]
socket = "/run/tokend/tokend.sock"
socket_mode = "0660"
socket_group = "tokend-clients"
admins = ["root"]
state_directory = "/var/lib/tokend"
log_level = "info"
log_format = "auto"

[providers.topstepx]
kind = "projectx"
base_url = "https://api.topstepx.com"
username = { env = "PROJECT_X_USERNAME" }
api_key  = { env = "PROJECT_X_API_KEY" }

[[providers.topstepx.sinks]]
kind = "dotenv"
path = "/srv/bot/.env"
key  = "JWT_TOKEN"

[providers.tt]
kind = "tt"
environment = "uat"
api_key = { credential = "tt-key" }
api_secret = { credential = "tt-secret" }
app_name = "YourApp"
company_name = "YourCompany"
refresh_before = "10m"

[[providers.tt.sinks]]
kind = "json"
path = "/run/tokend/tt_token.json"
layout = "tt"
mode = "0640"
group = "trading"

[providers.partner]
kind = "jwt"
secret = { file = "partner.secret" }
algorithm = "HS256"
ttl = "15m"
claims = { clientId = "your-client-id" }

[providers.wallet]
kind = "request-jwt"
key = { env = "WALLET_AUTH_KEY" }
secret = { env = "WALLET_ENC_KEY" }
ttl = "60s"
time_unit = "ms"
signature_fields = ["currency", "amount", "orderId"]

[providers.login-links]
kind = "auth-token"
base_url = "https://wdcf.xerve.online"
client_secret = { env = "CLIENT_SECRET" }
expiration = "2m"
"""


def test_equal_files_become_equal_providers(tmp_path: Path) -> None:
    """A reload compares with ==. Comments, order and form of tables do not matter; a value does."""
    one = loaded(written(tmp_path, PARTNER + WALLET)).providers
    other = loaded(written(tmp_path, "# new\n" + WALLET + PARTNER.replace('"jwt"', "'jwt'"), name="b.toml")).providers
    assert one == other
    assert one != loaded(written(tmp_path, PARTNER + 'ttl = "14m"\n' + WALLET, name="c.toml")).providers


def test_relative_paths_start_at_the_directory_of_their_file(tmp_path: Path) -> None:
    """The daemon's working directory does not matter."""
    text = '[daemon]\nsocket = "s"\n' + PARTNER + 'sinks = [{ kind = "raw", path = "../x" }]\n'
    config = loaded(written(tmp_path, text))
    assert config.daemon.socket == tmp_path / "s"
    assert config.providers["partner"].sinks[0].target == str(tmp_path / ".." / "x")


@pytest.mark.parametrize(("key", "meant"), [("sink", "sinks"), ("zzz", None), ("time_out", "timeout")])
def test_an_unknown_key_of_a_provider_names_all_known_ones(tmp_path: Path, key: str, meant: str | None) -> None:
    """``sinks`` is one of them, but not for kinds that keep no token."""
    table = f'[[providers.partner.{key}]]\nkind = "raw"\npath = "x"\n'
    message = only(refused(written(tmp_path, PARTNER + table))).message
    known = message.partition("known are ")[2].partition(";")[0].split(", ")
    assert known == sorted(known)
    assert "sinks" in known
    assert message.partition("did you mean ")[2] == (f'"{meant}"?' if meant else "")
    assert "sinks" not in only(refused(written(tmp_path, WALLET + "zzz = 1\n"))).message


@pytest.mark.parametrize("name", ["Partner", '"with space"', '"\\u001b[0m"', '""'])
def test_a_bad_name_hides_no_other_error(tmp_path: Path, name: str) -> None:
    """Unknown keys, unreadable secrets and wrong sinks of that provider are reported, too."""
    table = f'[providers.{name}]\nkind = "jwt"\nsecret = {{ env = "NOT_SET" }}\nzzz = 1\n'
    text = table + 'sinks = [{ kind = "raw", path = "config.toml" }, { kind = "raw" }]\n'
    assert [p.line for p in refused(written(tmp_path, text))] == [1, 3, 4, 5, 5]


def test_a_name_that_is_used_twice_hides_no_other_error(tmp_path: Path) -> None:
    """Only what both definitions have in common is no error of its own."""
    sinks = 'sinks = [{ kind = "raw", path = "x" }]\n'
    written(tmp_path, PARTNER + sinks, name="a.toml")
    written(tmp_path, PARTNER + sinks + "zzz = 1\n", name="b.toml")
    messages = [p.message.split(";")[0] for p in refused(written(tmp_path, 'include = ["a.toml", "b.toml"]\n'))]
    assert messages == ['provider "partner" is defined twice', 'unknown key "zzz"']
