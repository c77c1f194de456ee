"""Any document is accepted or refused with errors: no crash, and no secret in a message."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.config.written import AUTH_TOKEN, PARTNER, PROJECTX, TT, WALLET, loaded, written
from tokend.config import InvalidConfigError

PLANTED = "hunter2-obviously-fake"
# No deadline: each example writes files, and the speed of the disk is not tested.
ANY_TIME = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEYS = st.sampled_from(
    [
        "daemon", "include", "providers", "kind", "sinks", "secret", "api_key", "username", "key", "path",
        "mode", "access", "users", "headers", "claims", "ttl", "timeout", "refresh_before", "base_url",
        "proxy", "env", "file", "credential", "command", "encoding", "literal", "signal", "systemd",
        "on_change", "expiration", "socket", "admins", "max_connections", "initial_token", "template", "tt",
        "", "a.b", "日本",
    ]
)  # fmt: skip
LEAVES = st.one_of(
    st.sampled_from(
        ["jwt", "projectx", "raw", "dotenv", "template", "5m", "20%", "0600", "/x", "https://h", "", "\0", "~"]
    ),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.just(PLANTED),
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


def inline(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\0", "\\u0000") + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {inline(item)}' for key, item in value.items()) + " }"
    return str(value)


def try_it(text: str | bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="tk-") as directory:
        path = written(Path(directory), text)
        try:
            loaded(path)
        except InvalidConfigError as error:
            assert error.errors
            lines = (text if isinstance(text, str) else text.decode("utf-8", "replace")).count("\n") + 1
            for problem in error.errors:
                assert problem.file == str(path)
                assert 1 <= problem.line <= lines
                assert problem.column >= 1
                assert problem.message.isprintable()
                assert len(str(problem).split("\n")) in {1, 3}


@ANY_TIME
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_table_of_our_words_is_accepted_or_refused(table: dict[str, Any]) -> None:
    """Known keys at wrong places with wrong values: each error has a place, an excerpt and a caret."""
    try_it("".join(f'"{key}" = {inline(value)}\n' for key, value in table.items()))


@ANY_TIME
@given(st.sampled_from([PARTNER, WALLET, TT, PROJECTX, AUTH_TOKEN]), st.dictionaries(KEYS, VALUES, max_size=3))
def test_any_addition_to_a_right_table_is_accepted_or_refused(table: str, more: dict[str, Any]) -> None:
    """The same inside an otherwise valid provider."""
    try_it(table + "".join(f'"{key}" = {inline(value)}\n' for key, value in more.items()))


@ANY_TIME
@given(st.text() | st.binary())
def test_any_text_and_any_bytes_are_refused_in_words(text: str | bytes) -> None:
    """A picture, a script or an archive is refused as no TOML."""
    try_it(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)


@ANY_TIME
@given(st.data())
def test_a_broken_line_beside_a_secret_never_shows_it(data: st.DataObject) -> None:
    """Whatever the syntax error is, its message does not contain the literal."""
    secret = data.draw(st.sampled_from([f'"{PLANTED}"', f"'{PLANTED}'", f'"""\n{PLANTED}"""', f'"""{PLANTED}\n"""']))
    text = PROJECTX.replace('api_key = { env = "KEY" }', f"api_key = {secret}") + "timeout = 5\n"
    at = data.draw(st.integers(0, len(text)))
    text = (
        text[:at] + data.draw(st.sampled_from(['"', "'", "]", "}", "=", "#", "\n", "[", "\\", '"""', ""])) + text[at:]
    )
    text = text[: data.draw(st.integers(at, len(text)))]
    with tempfile.TemporaryDirectory(prefix="tk-") as directory:
        try:
            loaded(written(Path(directory), text))
        except InvalidConfigError as error:
            shown = str(error)
            for length in (len(PLANTED), 12):
                assert PLANTED[-length:] not in shown, text
                assert PLANTED[:length] not in shown, text
