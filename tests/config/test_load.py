"""Loading: each error has file, line, column and message; a near miss has "did you mean"."""

from pathlib import Path

import pytest

from tests.config.written import AUTH_TOKEN, PARTNER, PROJECTX, TT, WALLET, loaded, written


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
    config = loaded(written(tmp_path, CONTRACT), environ=environ)
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


def test_names_that_this_machine_does_not_know_are_warned_about(tmp_path: Path) -> None:
    """Unknown names cause a warning, because another machine may know them. Numbers are always accepted."""
    text = (
        '[daemon]\nadmins = ["root", "no-such-user", "12345"]\nsocket_group = "no-such-group"\n' + PARTNER +
        'access = { users = ["root"], groups = ["no-such-group"], units = ["no-such.service"] }\n'
        'sinks = [{ kind = "raw", path = "x", owner = "no-such-user", group = "0" }]\n'
    )  # fmt: skip
    warnings = loaded(written(tmp_path, text)).warnings
    assert [(w.line, w.message) for w in warnings] == [
        (2, 'there is no user "no-such-user" on this machine'),
        (3, 'there is no group "no-such-group" on this machine'),
        (7, 'there is no group "no-such-group" on this machine'),
        (8, 'there is no user "no-such-user" on this machine'),
    ]
