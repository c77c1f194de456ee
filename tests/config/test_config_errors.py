"""All errors at once: each with file, line, column, a sentence, and "did you mean" for a near miss."""

from pathlib import Path

import pytest

from tests.config.written import AUTH_TOKEN, PARTNER, PROJECTX, TT, WALLET, loaded, only, refused, written

MANY = """\
includes = ["x"]
[daemon]
socket_mode = "660"
log_level = "inf"
max_connections = "12"
[providers.topstepx]
kind = "projectx"
username = { env = "KEY" }
api_kye = { env = "KEY" }
timeout = 30
[[providers.topstepx.sinks]]
kind = "rwa"
path = "/tmp/x"
[[providers.topstepx.sinks]]
kind = "json"
path = "/tmp/x"
mode = "888"
[providers.Foo]
kind = "jwt"
[providers.partner]
kind = "jwt"
secret = { env = "NOT_SET" }
ttl = "15"
[providers.other]
kind = "jtw"
[[providers.other.sinks]]
kind = "raw"
"""


def test_every_error_is_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """No error hides another one: neither a wrong table its sinks and secrets, nor one provider the next."""
    path = written(tmp_path, MANY)
    places = [(p.line, p.column) for p in refused(path)]
    assert places == [
        (1, 1), (3, 1), (4, 1), (5, 1), (9, 1), (10, 1), (12, 1), (17, 1), (18, 1), (22, 1), (23, 1), (25, 1), (26, 1),
    ]  # fmt: skip
    assert {p.file for p in refused(path)} == {str(path)}


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        (PARTNER, "tll = 1", 'unknown key "tll"; known are'),
        (PARTNER, "tll = 1", 'did you mean "ttl"?'),
        (PARTNER, "ttl = 900", 'ttl: a duration is a string with a unit: "500ms"'),
        (PARTNER, "required = 'yes'", "required: expected true or false, without quotes; found a string"),
        (PARTNER, "access = 'root'", "access: expected a table: { key = value }; found a string"),
        (PARTNER, "access = { user = ['root'] }", 'unknown key "user"; known are groups, units, users; did you mean'),
        (PARTNER, "claims = 5", "claims: expected a table: { key = value }; found an integer"),
        (PARTNER, "algorithm = 'hs512'", '"EdDSA"; did you mean "HS512"?'),
        (PARTNER, "sinks = 'raw'", "sinks are an array of tables: [[providers.partner.sinks]]"),
        (PARTNER, "sinks = [5]", "a sink is a table with a kind"),
        (PARTNER, "sinks = [{ path = '/x' }]", 'kind is missing; it is one of "json", "dotenv", "raw", "template"'),
        (PARTNER, "sinks = [{ kind = 'raw' }]", "path is missing"),
        (PARTNER, "sinks = [{ kind = 'raw', path = 5 }]", 'path: expected a path as a string: "/…"; found an integer'),
        (PARTNER, "sinks = [{ kind = 'raw', path = '~/x' }]", "path: ~ is not expanded here: write the whole path"),
        (PARTNER, "sinks = [{ kind = 'raw', path = '' }]", "path: a path is not empty"),
        (PARTNER, "sinks = [{ kind = 'raw', path = '/x', on_change = [] }]", "on_change: expected at least one item"),
        (PARTNER, "sinks = [{ kind = 'raw', path = '/x', on_change = 'a' }]", 'on_change: expected an array'),
        (PARTNER, "sinks = [{ kind = 'raw', path = '/x', mode = 600 }]", 'mode: a mode is an octal string: "0600"'),
        (PARTNER, "sinks = [{ kind = 'raw', path = '/x', mode = '0o600' }]", "mode: a mode is an octal string"),
        (PARTNER, "sinks = [{ kind = 'raw', path = '/x', mode = '04755' }]", "mode: a mode is an octal string"),
        (PARTNER, "sinks = [{ kind = 'raw', path = '/x', write_mode = 'in-place' }]", 'unknown key "write_mode"'),
        (PARTNER, "sinks = [{ kind = 'raw', path = '/x', signal = { pid_file = '/y', signal = 'HUB' } }]", "is no"),
        (PARTNER, "sinks = [{ kind = 'dotenv', path = '/x', key = '1A' }]", "key: a key is letters, digits and _"),
        (PARTNER, "sinks = [{ kind = 'template', path = '/x' }]", "give either template or template_file"),
        (PARTNER, "headers = { 'a b' = 'x' }", "a b: a header's name is letters, digits and -"),
        (PARTNER, "headers = { a = ' x' }", "a: a header's value is one line of ASCII without outer spaces"),
        (PARTNER, 'headers = { a = "x\\ny" }', "a: a header's value is one line"),
        (PARTNER, "headers = { a = 'x', A = 'y' }", "a header stands here twice"),
        (PARTNER, "headers = { a = { env = 'KEY' } }", 'a: expected a string: write it in quotes, "…"; found a table'),
        (PARTNER, "claims = { iat = 1 }", "claims: iat cannot be written down"),
        (PARTNER, "claims = { at = 1979-05-27 }", "claims: it holds something that JSON cannot say"),
        (PARTNER, "refresh_before = '0%'", 'a share of the token\'s life, "1%" to "99%"'),
        (PARTNER, "refresh_before = 0.2", 'a share of the token\'s life, "1%" to "99%"'),
        (PARTNER, "on_expiry = 'delete'", 'on_expiry: expected one of "keep", "remove"'),
        (PARTNER, "ca_file = '/x'", 'unknown key "ca_file"'),
        (WALLET, "refresh_before = '5m'", "refresh_before is not for kind request-jwt: its tokens are"),
        (WALLET, "on_expiry = 'keep'", "on_expiry is not for kind request-jwt"),
        (WALLET, "sinks = [{ kind = 'raw', path = '/x' }]", "sinks is not for kind request-jwt"),
        (WALLET, "signature_fields = ['url']", "url is not one of them"),
        (AUTH_TOKEN, "sinks = []", "sinks is not for kind auth-token"),
        (AUTH_TOKEN, "expiration = '90s'", "expiration: it is sent as whole minutes"),
        (PROJECTX, "base_url = 'http://example.com'", "base_url: http:// would send secrets in clear"),
        (PROJECTX, "base_url = 'ftp://example.com'", "base_url: an upstream's URL is https://host"),
        (PROJECTX, "proxy = 'proxy:3128'", "proxy: a proxy is http://host:port or https://host:port"),
        (PROJECTX, "client_key = '/x'", "client_key needs client_cert"),
        (PROJECTX, "zero_means = 'now'", 'zero_means: expected one of "expired", "never"'),
        (TT.replace('"uat"', '"prod"'), "", 'environment: expected one of "uat", "live", "sim"'),
        (TT.replace('"App"', '" /&"'), "", "app_name: nothing of it may stand in a requestId"),
        (TT.replace('app_name = "App"\n', ""), "", "app_name is missing"),
        ('[daemon]\nsocket = "/' + "x" * 107 + '"\n', "", "socket: the kernel allows 107 bytes for a socket's path"),
        ("[daemon]\nmax_connections = 0\n", "", "max_connections: expected at least 1"),
        ("[daemon]\nmax_connections = 65537\n", "", "max_connections: expected at most 65536"),
        ("[daemon]\nmax_connections = true\n", "", "expected a whole number, without quotes; found a boolean"),
        ("[[daemon]]\n", "", "daemon is a table: [daemon]"),
        ("[[providers]]\n", "", "providers are tables: [providers.NAME]"),
        ("[providers]\na = 5\n", "", "a provider is a table: [providers.a]"),
        ("[providers.a]\n", "", 'kind is missing; it is one of "projectx", "tt", "jwt", "request-jwt", "auth-token"'),
        ("[providers.a]\nknd = 'tt'\n", "", 'kind is missing; found "knd"'),
        ("[providers.a]\nkind = 5\n", "", 'unknown kind; it is one of "projectx"'),
        ("[providers.a]\nkind = 'projecttx'\n", "", 'did you mean "projectx"?'),
        ("[providers.my.bot]\nkind = 'jwt'\n", "", 'a name with a dot stands in quotes: [providers."my.bot"]'),
        (PARTNER.replace("partner", "Partner"), "", '"Partner" is no name: a to z, 0 to 9, and . _ - but not first'),
        (PARTNER.replace("partner", "Partner"), "", 'did you mean "partner"?'),
        (PARTNER.replace("partner", "p" * 65), "", "at most 64"),
        ("[provider.a]\n", "", 'known are daemon, include, providers; did you mean "providers"?'),
    ],
)  # fmt: skip
def test_each_mistake_is_told_in_words_that_say_what_to_write(
    tmp_path: Path, table: str, line: str, message: str
) -> None:
    """What was expected, what type was found, what the key may have been. One mistake, one error."""
    text = table + line + "\n"
    problem = only(refused(written(tmp_path, text)))
    assert message in problem.message
    assert 1 <= problem.line <= text.count("\n") + 1
    assert problem.excerpt


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
        (PROJECTX, 'base_url = "http://[::1]:8080"\nproxy = "http://user:fake@proxy:3128"\nrefresh = "validate"'),
        (TT, 'on_expiry = "remove"'),
        ("", '[daemon]\nlog_format = "json"\nlog_level = "debug"\nsocket_mode = "0000"\nadmins = []'),
    ],
)
def test_what_the_contract_allows_is_accepted(tmp_path: Path, table: str, line: str) -> None:
    """The edges of what may be written."""
    loaded(written(tmp_path, table + line + "\n"))


def test_the_contract_s_own_example_is_accepted(tmp_path: Path) -> None:
    """docs/promises.md: these keys with these values; they become what they say."""
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
    """Reload is ==: comments, order of tables and forms of tables change nothing; a value does."""
    one = loaded(written(tmp_path, PARTNER + WALLET)).providers
    other = loaded(written(tmp_path, "# new\n" + WALLET + PARTNER.replace('"jwt"', "'jwt'"), name="b.toml")).providers
    assert one == other
    assert one != loaded(written(tmp_path, PARTNER + 'ttl = "14m"\n' + WALLET, name="c.toml")).providers


def test_relative_paths_start_at_the_directory_of_their_file(tmp_path: Path) -> None:
    """Wherever the daemon was started."""
    text = '[daemon]\nsocket = "s"\n' + PARTNER + 'sinks = [{ kind = "raw", path = "../x" }]\n'
    config = loaded(written(tmp_path, text))
    assert config.daemon.socket == tmp_path / "s"
    assert config.providers["partner"].sinks[0].target == str(tmp_path / ".." / "x")


def test_names_that_this_machine_does_not_know_are_warned_about(tmp_path: Path) -> None:
    """Perhaps another machine does; numbers always do."""
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
