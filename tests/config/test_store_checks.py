"""Errors of remote sinks in a configuration: at their places, all at once, without a secret."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from tests.config.written import ENVIRON, PARTNER, TT, only, written
from tests.publishing_sinks import StoreSink
from tokend.config import Config, ConfigProblem, InvalidConfigError, load
from tokend.kinds import PROVIDERS, SINKS
from tokend.plugin.remote_sink import HttpSinkSettings, ValuesSettings
from tokend.plugin.sink import Content, Mark, SinkRuntime

PLANTED = "ghp_obviouslyfakesecretofahundredyears"
SINK = '[[providers.partner.sinks]]\nkind = "shelf"\naddress = "https://store.example"\nsecret_name = "APP"\n'


class Shelf(ValuesSettings, HttpSinkSettings):
    """A store over HTTP that takes 100 writes a day, and has a program that reads it."""

    writes_per_day = 100
    read_with = frozenset({"shelfctl"})

    kind: Literal["shelf"] = "shelf"
    address: str
    secret_name: str

    @property
    def server_url(self) -> tuple[str, str]:
        return "address", self.address

    @property
    def target(self) -> str:
        return f"shelf:{self.secret_name}"

    def names_in_store(self) -> tuple[str, ...]:
        return (self.secret_name,)

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        return runtime.mark(content.values)

    async def remove(self, runtime: SinkRuntime, known: Mark | None) -> Mark:
        return runtime.mark(None)

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        return None


class Broken(Shelf):
    """A kind of another package with a bug in its check."""

    kind: Literal["broken"] = "broken"  # type: ignore[assignment]  # another kind's name

    def placed_templates(self) -> Iterator[tuple[tuple[str, ...], str]]:
        raise RuntimeError(PLANTED)


def loaded(path: Path, before: Config | None = None) -> Config:
    kinds = SINKS.including({"shelf": Shelf, "broken": Broken, "store": StoreSink})
    return load(path, providers=PROVIDERS, sinks=kinds, environ=ENVIRON, before=before)


def refused(path: Path) -> list[ConfigProblem]:
    with pytest.raises(InvalidConfigError) as refusal:
        loaded(path)
    assert PLANTED not in str(refusal.value)
    return list(refusal.value.errors)


def places(problems: list[ConfigProblem]) -> list[tuple[int, int, str]]:
    return [(one.line, one.column, one.message) for one in problems]


def test_a_template_is_compiled_with_the_configuration(tmp_path: Path) -> None:
    """Every wrong template is an error, all at once, each at its key; what stands in it is not shown."""
    text = (
        PARTNER + SINK + f'value = "{PLANTED} {{{{"\n' + SINK.replace("APP", "B") + "values.A = '{{ acess_token }}'\n"
    )
    text += "values.B = '{{ tokens.tt.access_token }}'\nvalues.C = '{{ tokens.partner.access_token }}'\n" + TT
    problems = refused(written(tmp_path, text))
    assert places(problems) == [
        (8, 1, "value: line 1 of the template is wrong: unexpected 'end of template'"),
        (13, 1, "A: the template asks for 'acess_token', which is not there; did you mean \"access_token\"?"),
        (14, 1, "B: the template reads the token 'tt': add it to tokens"),
    ]
    assert [one.excerpt for one in problems] == ['value = "…"', "values.A = '…'", "values.B = '…'"]
    good = (
        text.replace(f"{PLANTED} {{{{", "x").replace("acess", "access").replace("values.A", 'tokens = ["tt"]\nvalues.A')
    )
    assert loaded(written(tmp_path, good)).warnings[0].code == "store_quota"


def test_a_template_is_one_or_several(tmp_path: Path) -> None:
    """Of two ways to say the content, one would not count."""
    problem = only(refused(written(tmp_path, PARTNER + SINK + 'value = "x"\nvalues.A = "y"\n')))
    assert problem.message == "give either value, for one key, or values, for several"


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{PLANTED}@store.example",
        f"https://{PLANTED}@store.example/path",
        f"HTTPS://{PLANTED}@store.example",
        f" https://{PLANTED}@store.example",
        f"https:\\\\\\\\{PLANTED}@store.example",
    ],
)
def test_a_url_with_credentials_is_an_error_at_its_key(tmp_path: Path, url: str) -> None:
    """Of every kind, whatever the key is called; the URL is not shown."""
    problem = only(refused(written(tmp_path, PARTNER + SINK.replace("https://store.example", url))))
    assert places([problem]) == [
        (6, 1, "address: a URL holds no user and no password here: they have keys of their own")
    ]
    text = (
        PARTNER + f'[[providers.partner.sinks]]\nkind = "store"\nkey = "a"\nauth = {{ env = "KEY" }}\nurl = "{url}"\n'
    )
    assert only(refused(written(tmp_path, text))).line == 8


def test_a_url_in_a_template_or_with_an_at_in_its_path_is_none(tmp_path: Path) -> None:
    """A connection string is often what a program wants to read."""
    more = "value = 'postgres://app:{{ access_token }}@db.example/app'\nmin_interval = \"15m\"\n"
    assert loaded(written(tmp_path, PARTNER + SINK.replace("APP", "a@b") + more)).warnings == ()
    assert loaded(written(tmp_path, PARTNER + SINK.replace("store.example", "store.example/@scope") + more))


@pytest.mark.parametrize("url", ["http://store.example", "ftp://store.example", "store.example"])
def test_a_store_over_plain_http_is_an_error(tmp_path: Path, url: str) -> None:
    """Whether or not the kind looks at its URL."""
    problem = only(refused(written(tmp_path, PARTNER + SINK.replace("https://store.example", url))))
    assert problem.message == "address: a store's URL is https://host, or http:// to loopback only"
    assert loaded(written(tmp_path, PARTNER + SINK.replace("https://store.example", "http://127.0.0.1:8200")))


def test_a_secret_in_the_place_of_a_name_is_not_shown(tmp_path: Path) -> None:
    """Neither in a message nor in an excerpt, of whatever error; a name is."""
    sink = SINK.replace('"APP"', f'"{PLANTED}"')
    problem = only(refused(written(tmp_path, PARTNER + sink + sink)))
    assert problem.message.startswith("shelf:(not shown) is written by another sink already: ")
    problem = only(refused(written(tmp_path, PARTNER + SINK.replace('"APP"', f'["{PLANTED}"]'))))
    assert "expected a string" in problem.message
    config = loaded(written(tmp_path, PARTNER + sink + 'min_interval = "15m"\n'))
    [warning] = config.warnings
    assert (warning.line, warning.code, warning.excerpt) == (7, "literal_secret", 'secret_name = "…"')
    assert warning.message.startswith("secret_name: this looks like a secret, and a name belongs here")
    text = PARTNER + SINK + f'tokens = ["{PLANTED}"]\n'
    assert only(refused(written(tmp_path, text))).message == 'there is no provider "(not shown)"'
    text = PARTNER + SINK + 'tokens = ["nobody"]\n'
    problem = only(refused(written(tmp_path, text)))
    assert (problem.message, problem.excerpt) == ('there is no provider "nobody"', 'tokens = ["nobody"]')


def test_a_life_too_short_for_the_store_is_a_warning(tmp_path: Path) -> None:
    """The ttl of the jwt decides; a min_interval or a longer life ends it."""
    config = loaded(written(tmp_path, PARTNER + 'ttl = "5m"\n' + SINK))
    [warning] = config.warnings
    assert (warning.line, warning.column, warning.code) == (5, 1, "store_quota")
    assert warning.message == (
        "a token that lives 300 s means 360 writes a day, and this store takes 100: "
        "it needs a longer life, or a min_interval of at least 15m"
    )
    assert config.warnings_by_provider(of_secrets=False)["partner"][0].code == "store_quota"
    assert loaded(written(tmp_path, PARTNER + SINK + 'min_interval = "15m"\n')).warnings == ()
    assert loaded(written(tmp_path, PARTNER + 'ttl = "18m"\n' + SINK)).warnings == ()
    aged = PARTNER + 'ttl = "1h"\nmax_age = "5m"\n' + SINK
    assert [one.code for one in loaded(written(tmp_path, aged)).warnings] == ["store_quota"]


def test_a_min_interval_that_is_longer_than_a_token_lives_is_a_warning(tmp_path: Path) -> None:
    """The advice of the quota's warning must not hide that the store then holds ended tokens; max_age ends none."""
    config = loaded(written(tmp_path, PARTNER + 'ttl = "5m"\n' + SINK + 'min_interval = "15m"\n'))
    assert [(one.code, one.message) for one in config.warnings] == [
        (
            "store_quota",
            "min_interval is longer than a token lives (300 s): until the next write the store holds a token that "
            "has ended",
        )
    ]
    aged = PARTNER + 'ttl = "1h"\nmax_age = "5m"\n' + SINK + 'min_interval = "15m"\n'
    assert loaded(written(tmp_path, aged)).warnings == ()


def test_a_warning_of_a_kind_shows_no_secret_either(tmp_path: Path) -> None:
    """The kind may name its target."""
    text = PARTNER + 'ttl = "5m"\n[[providers.partner.sinks]]\nkind = "aws-secretsmanager"\nregion = "eu-central-1"\n'
    keys = 'access_key_id = { env = "KEY" }\nsecret_access_key = { env = "KEY" }\n'
    config = loaded(written(tmp_path, text + keys + f'secret_id = "{PLANTED}"\n'))
    assert {one.code for one in config.warnings} == {"store_quota", "literal_secret"}
    assert PLANTED not in str(config.warnings)


def test_a_life_that_only_the_upstream_knows_is_no_warning(tmp_path: Path) -> None:
    """The first token decides."""
    assert loaded(written(tmp_path, TT + SINK.replace("partner", "tt"))).warnings == ()


def test_a_check_of_a_kind_that_fails_is_an_error_of_the_kind(tmp_path: Path) -> None:
    """Its exception may quote a secret."""
    problem = only(refused(written(tmp_path, PARTNER + SINK.replace('"shelf"', '"broken"'))))
    assert "cannot use these settings: RuntimeError" in problem.message


READER = '{ command = ["shelfctl", "get", "APP"] }'


@pytest.mark.parametrize("behind", [False, True])
def test_a_credential_that_is_read_from_what_the_sink_writes_is_an_error(tmp_path: Path, behind: bool) -> None:
    """At once, or behind another token: after the end of either token neither could be had."""
    other = TT.replace("[providers.tt]", "[providers.login]").replace(
        'api_secret = { env = "KEY" }', f"api_secret = {READER}"
    )
    between = TT.replace('api_key = { env = "KEY" }', 'api_key = { token = "login" }')
    sink = SINK + f'auth = {{ token = "{"tt" if behind else "login"}" }}\nmin_interval = "15m"\n'
    text = PARTNER + sink + other + between
    problem = only(refused(written(tmp_path, text)))
    assert (problem.line, problem.column) == (8, 1)
    assert problem.message.startswith("auth: login authenticates here, and its secret is read from what this sink")
    assert loaded(written(tmp_path, text.replace('"get", "APP"', '"get", "OTHER"'))).warnings == ()


def test_a_token_may_authenticate_with_what_is_made_from_it(tmp_path: Path) -> None:
    """A login by the sink's own token goes through memory, not through the store."""
    login = TT.replace('api_key = { env = "KEY" }', 'api_key = { token = "partner" }')
    text = PARTNER + SINK + 'auth = { token = "tt" }\nmin_interval = "15m"\n' + login
    assert loaded(written(tmp_path, text)).warnings == ()


HTTP = """[[providers.partner.sinks]]
kind = "http"
auth = { env = "KEY" }
[providers.partner.sinks.request]
method = "PUT"
url = "https://store.example/v1/{nmae}"
json = { list = [1, "{vlaue}"] }
[providers.partner.sinks.answer]
success = "lenght(error) == `0`"
[[providers.partner.sinks.errors]]
status = 429
means = "rate_limited"
[[providers.partner.sinks.errors]]
when = "error.code = 5"
means = "conflit"
"""


def test_each_fault_of_a_declared_store_has_its_line_and_column(tmp_path: Path) -> None:
    """Expressions with the position inside them, also those in a table of an array."""
    start = PARTNER.count("\n")
    problems = refused(written(tmp_path, PARTNER + HTTP))
    found = {(line - start, column): message for line, column, message in places(problems)}
    assert found == {
        (9, 1): 'success: not JMESPath: character 1: there is no function lenght; did you mean "length"?',
        (14, 1): "when: not JMESPath: character 12: =: it does not belong here",
        (15, 1): 'means: expected one of "rejected", "rate_limited", "transient", "conflict"; did you mean "conflict"?',
    }
    repaired = HTTP.replace("lenght", "length").replace("code = 5", "code == `5`").replace("conflit", "conflict")
    found = {(one.line - start, one.column): one.message for one in refused(written(tmp_path, PARTNER + repaired))}
    assert set(found) == {(6, 1), (7, 21)}
    assert found[6, 1].startswith('url: there is no placeholder "nmae" here; known are {value}, {name}')
    assert found[7, 21].endswith('did you mean "value"?')


def test_a_removal_at_the_end_needs_its_request(tmp_path: Path) -> None:
    """Or else the error would come when the token ends."""
    good = HTTP[: HTTP.index("[providers.partner.sinks.answer]")].replace("nmae", "name").replace("vlaue", "value")
    removing = PARTNER.replace('kind = "jwt"', 'kind = "jwt"\non_expiry = "remove"')
    assert removing != PARTNER
    assert loaded(written(tmp_path, PARTNER + good)).providers
    [problem] = refused(written(tmp_path, removing + good))
    assert problem.message == 'on_expiry = "remove" needs the table remove: the request that removes'
    table = '[providers.partner.sinks.remove]\nurl = "https://store.example/v1/{name}"\n'
    assert loaded(written(tmp_path, removing + good + table)).providers


def test_a_secret_in_a_text_of_a_declared_store_is_a_warning(tmp_path: Path) -> None:
    """It is neither read, hidden nor watched as one. Its place is named, never the text."""
    table = """[[providers.partner.sinks]]
kind = "http"
[providers.partner.sinks.request]
method = "PUT"
url = "https://store.example/v1/app"
headers = { X-Api-Key = "hunter2", X-Trace = "on", Authorization = "Bearer {value}" }
json = { other = ["PLANTED"], value = "{value}", type = "secret_text" }
""".replace("PLANTED", PLANTED)
    found = loaded(written(tmp_path, PARTNER + table))
    assert [warning.message for warning in found.warnings] == [
        f"request.{place}: this looks like a secret in the configuration itself; the place for one is auth"
        for place in ("headers.X-Api-Key", "json.other.0")
    ]
    assert PLANTED not in repr(found) + "".join(map(str, found.warnings))
    assert "hunter2" not in repr(found) + "".join(map(str, found.warnings))


def test_two_declared_sinks_of_one_place_are_an_error_that_names_both(tmp_path: Path) -> None:
    """Of one URL and body; two variables of one project differ in their bodies."""
    one = HTTP[: HTTP.index("[providers.partner.sinks.answer]")].replace("{nmae}", "app").replace("vlaue", "value")
    [problem] = refused(path := written(tmp_path, PARTNER + one + one))
    first = PARTNER.count("\n") + 1
    assert problem.line == first + one.count("\n")
    assert problem.message == f"http:store.example/v1/app is written by another sink already: {path}:{first}"
    assert len(loaded(written(tmp_path, PARTNER + one + one.replace("[1,", "[2,"))).providers["partner"].sinks) == 2


VAULT = """[[providers.{name}.sinks]]
kind = "vault"
address = "{address}"
path = "app"
auth = {{ token = "login" }}
min_interval = "15m"
"""


def test_another_spelling_of_a_server_is_the_same_store(tmp_path: Path) -> None:
    """Capital letters and the default port; another port or another key is another target."""
    first = PARTNER + VAULT.format(name="partner", address="https://vault.example")
    login = TT.replace("[providers.tt]", "[providers.login]")
    for address in ("https://VAULT.example", "https://vault.example:443/", "HTTPS://vault.example"):
        path = written(tmp_path, first + login + VAULT.format(name="login", address=address))
        problem = only(refused(path))
        assert problem.message == f'vault:secret/app#token key "token" is written by another sink already: {path}:7'
        assert problem.line == 20
    other = VAULT.format(name="login", address="https://vault.example:8200")
    assert loaded(written(tmp_path, first + login + other))
    assert loaded(
        written(tmp_path, first + login + VAULT.format(name="login", address="https://vault.example") + 'field = "b"\n')
    )


@pytest.mark.parametrize(
    ("command", "circular"),
    [
        ('["vault", "kv", "get", "-field=token", "secret/app"]', True),
        ('["sh", "-c", "bao kv get -mount=secret -field=token app"]', True),
        ('["vault", "kv", "get", "-field=other", "secret/app"]', False),
        ('["cat", "/run/secret/app/token"]', False),
    ],
)
def test_a_login_whose_secret_the_sink_itself_writes_is_a_circle(tmp_path: Path, command: str, circular: bool) -> None:
    """The words of the command name program, mount, path and key."""
    login = TT.replace("[providers.tt]", "[providers.login]").replace(
        'api_secret = { env = "KEY" }', f"api_secret = {{ command = {command} }}"
    )
    text = PARTNER + VAULT.format(name="partner", address="https://vault.example") + login
    if circular:
        assert "auth: login authenticates here" in only(refused(written(tmp_path, text))).message
    else:
        assert loaded(written(tmp_path, text))


def test_templates_of_a_patched_file_are_checked_too(tmp_path: Path) -> None:
    """Each at its pointer."""
    text = PARTNER + '[[providers.partner.sinks]]\nkind = "patch"\npath = "x.json"\nformat = "json"\n'
    text += "set = { \"/a\" = '{{ access_token }}', \"/b\" = '{{ tokens.tt.access_token }}' }\n"
    problem = only(refused(written(tmp_path, text)))
    assert (problem.line, problem.message) == (8, "/b: the template reads the token 'tt': add it to tokens")
