"""References: a secret that is another provider's token names one that can have a token, and no circle is made."""

from pathlib import Path

import pytest

from tests.config.written import ENVIRON, PROJECTX, TT, WALLET, loaded, only, refused, written
from tests.publishing_sinks import StoreSink
from tokend.config import load
from tokend.kinds import PROVIDERS, SINKS


def reading(name: str, token: str, more: str = "") -> str:
    """A provider whose secret is the token of another one."""
    return f'[providers.{name}]\nkind = "jwt"\nsecret = {{ token = "{token}" }}\n{more}'


def test_a_reference_to_a_held_provider_is_read_while_the_daemon_runs(tmp_path: Path) -> None:
    """`check` reads no token: no error, no warning, wherever the provider stands."""
    text = 'include = ["more.toml"]\n' + reading("partner", "topstepx") + reading("desk", "partner")
    written(tmp_path, PROJECTX, name="more.toml")
    config = loaded(written(tmp_path, text))
    assert [one for one in config.warnings if one.code != "config"] == []
    assert config.providers["partner"].settings.secrets()["secret"].token == "topstepx"


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("topstep", 'there is no provider of this name; did you mean "topstepx"?'),
        ("obviously-fake-secret", "there is no provider of this name"),
        ("wallet", "wallet is issued on demand: there is no token of it to use"),
        ("partner", "partner would need its own token to get it: name another provider"),
    ],
)
def test_a_reference_to_no_token_is_an_error_at_its_place(tmp_path: Path, token: str, message: str) -> None:
    """Also a name that may be the secret itself: that is not shown."""
    problem = only(refused(written(tmp_path, reading("partner", token) + PROJECTX + WALLET)))
    assert (problem.line, problem.column, problem.message) == (3, 12, message)
    assert "obviously-fake-secret" not in str(problem)


def test_what_cannot_be_a_name_is_not_shown(tmp_path: Path) -> None:
    """People write the secret itself."""
    problem = only(refused(written(tmp_path, reading("partner", "ghp_PLANTED"))))
    assert problem.message == (
        "token: write the name of the provider whose token is the secret, as in [providers.NAME]"
    )
    assert "PLANTED" not in str(problem)


@pytest.mark.parametrize(
    ("pairs", "circles"),
    [
        ([("a", "b"), ("b", "a")], ["a → b → a"]),
        ([("z", "b"), ("b", "c"), ("c", "d"), ("d", "b")], ["b → c → d → b"]),
        ([("c", "a"), ("d", "d2"), ("d2", "d"), ("a", "c"), ("e", "a")], ["c → a → c", "d → d2 → d"]),
        ([("a", "b"), ("b", "topstepx"), ("c", "b")], []),
    ],
)
def test_each_circle_is_one_error(tmp_path: Path, pairs: list[tuple[str, str]], circles: list[str]) -> None:
    """At the first of its providers. Who only needs one of them has no error of its own."""
    path = written(tmp_path, PROJECTX + "".join(reading(*pair) for pair in pairs))
    problems = refused(path) if circles else []
    assert [one.message.partition(": ")[2] for one in problems] == circles
    assert [one.where[1] for one in problems] == [circle.split(" ")[0] for circle in circles]


def test_two_references_of_one_provider_are_both_looked_at(tmp_path: Path) -> None:
    """The circle is reported at the key that closes it."""
    two = TT.replace('api_secret = { env = "KEY" }', 'api_secret = { token = "b" }')
    two = two.replace('api_key = { env = "KEY" }', 'api_key = { token = "topstepx" }')
    problem = only(refused(written(tmp_path, two + PROJECTX + reading("b", "tt"))))
    assert problem.where == ("providers", "tt", "api_secret", "token")


def test_a_sink_may_use_the_token_that_it_writes(tmp_path: Path) -> None:
    """It writes when the token is there. Other names are looked at as those of providers."""
    sink = '[[providers.topstepx.sinks]]\nkind = "store"\nkey = "{key}"\nauth = {{ token = "{token}" }}\n'
    sinks = SINKS.including({"store": StoreSink})
    good = written(tmp_path, PROJECTX + sink.format(key="app", token="topstepx"))
    assert load(good, providers=PROVIDERS, sinks=sinks, environ=ENVIRON).providers["topstepx"].sinks
    bad = written(tmp_path, PROJECTX + sink.format(key="app", token="topstepy"))
    with pytest.raises(Exception, match='there is no provider of this name; did you mean "topstepx"'):
        load(bad, providers=PROVIDERS, sinks=sinks, environ=ENVIRON)


def test_the_loopback_ports_secret_is_no_token(tmp_path: Path) -> None:
    """Clients keep it: it must not change by itself."""
    daemon = '[daemon]\nlisten = "127.0.0.1:9"\nlisten_secret = { token = "topstepx" }\n'
    assert "a token is replaced again and again" in only(refused(written(tmp_path, daemon + PROJECTX))).message


def test_credentials_that_are_tokens_are_not_missing(tmp_path: Path) -> None:
    """`check` cannot read them, and the daemon can: no warning says that they are not there."""
    own = (
        PROJECTX.replace('api_key = { env = "KEY" }', 'api_key = { token = "tt" }')
        + 'initial_token = { env = "JWT" }\n'
    )
    config = loaded(written(tmp_path, own + TT), environ={**ENVIRON, "JWT": "eyJ-obviously-fake"})
    assert [one.message for one in config.warnings] == []
