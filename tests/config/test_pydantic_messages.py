"""Validation errors in plain words."""

from pathlib import Path

import pytest

from tests.config.written import AUTH_TOKEN, PARTNER, PROJECTX, TT, WALLET, only, refused, written


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        (PARTNER, "tll = 1", 'unknown key "tll"; known are'),
        (PARTNER, "tll = 1", 'did you mean "ttl"?'),
        (PARTNER, "ttl = 900", 'ttl: a duration is a string with a unit: "500ms"'),
        (PARTNER, "required = 'yes'", "required: expected true or false, without quotes; found a string"),
        (PARTNER, "access = 'root'", "access: expected a table: { key = value }; found a string"),
        (PARTNER, "access = { user = ['root'] }", 'unknown key "user"; known are groups, login, units, users; did you'),
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
        (
            PARTNER,
            "sinks = [{ kind = 'aws-ssm', region = 'Nowhere!', parameter = '/x' }]",
            "region: expected a text of the form ",
        ),
        (
            PARTNER,
            "sinks = [{ kind = 'vault', address = 'https://v.example', path = 'x', field = '' }]",
            "field: expected a text of at least 1 character; found 0",
        ),
        (
            PARTNER,
            f"sinks = [{{ kind = 'vault', address = 'https://v.example', path = 'x', field = '{'x' * 129}' }}]",
            "field: expected a text of at most 128 characters; found 129",
        ),
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
        (PROJECTX, "base_url = 'http://127.0.0.1:1'\nproxy = 'http://p.example:1'", "proxy: no proxy leads to http://"),
        (PROJECTX, "client_key = '/x'", "client_key needs client_cert"),
        (PROJECTX, "zero_means = 'now'", 'zero_means: expected one of "expired", "never"'),
        (PARTNER, "sinks = [{ kind = 'http', request = { method = 'FETCH', url = 'https://s.example' } }]",
         'method: expected one of "GET", "POST", "PUT", "PATCH", "DELETE"'),
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
        ("state_dir = '/x'\n", "", "include, providers, sockets, vaults; state_directory stands in the table [daemon]"),
        ("socket = '/x'\n", "", "; socket stands in the table [daemon]"),
        ("[provider.a]\n", "", 'known are daemon, include, providers, sockets, vaults; did you mean "providers"?'),
    ],
)  # fmt: skip
def test_each_mistake_is_reported_in_words_that_say_what_to_write(
    tmp_path: Path, table: str, line: str, message: str
) -> None:
    """The message has the expected form, the type that was found, and a similar key. One mistake causes one error."""
    text = table + line + "\n"
    problem = only(refused(written(tmp_path, text)))
    assert message in problem.message
    assert 1 <= problem.line <= text.count("\n") + 1
    assert problem.excerpt


def test_a_choice_proposes_only_a_near_word_and_never_the_only_one(tmp_path: Path) -> None:
    """Other words of the same length have letters in common."""
    sink = (
        "sinks = [{ kind = 'http', request = { method = 'FETCH', url = 'https://s.example', text = '{value}' }, "
        "inspect = { url = 'https://s.example', answer = { value = { json = 'v', encoding = 'base46' } } } }]"
    )
    found = [one.message for one in refused(written(tmp_path, f"{PARTNER}{sink}\n"))]
    assert 'method: expected one of "GET", "POST", "PUT", "PATCH", "DELETE"' in found
    assert 'encoding: expected "base64"' in found
