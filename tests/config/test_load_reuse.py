"""A reload takes over unchanged tables. Its messages are those of a full load."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from tests.config.written import CA_PEM, KEY, PARTNER, PROJECTX, TT, WALLET, loaded, only, refused, written
from tokend.config import Config, ConfigProblem, InvalidConfigError

MAIN = 'include = ["sub/*.toml"]\n[providers]\n'


def sink(provider: str, path: str) -> str:
    return f'[[providers.{provider}.sinks]]\nkind = "raw"\npath = "{path}"\n'


# ------------------------------------------------------------------ equal and different tables


def test_tables_that_did_not_change_are_taken_over_as_they_are(tmp_path: Path) -> None:
    """If one of ten thousand providers changed, the other 9,999 are neither validated nor copied."""
    before = loaded(written(tmp_path, "# old\n" + PARTNER + sink("partner", "out") + TT + WALLET))
    text = WALLET + "\n# new, and in another order\n" + TT + "required = false\n" + PARTNER + sink("partner", "out")
    after = loaded(written(tmp_path, text), before=before)
    assert after.providers["partner"] is before.providers["partner"]
    assert after.providers["wallet"] is before.providers["wallet"]
    assert after.providers["tt"] != before.providers["tt"]
    assert after == loaded(tmp_path / "config.toml")


def test_a_table_that_moves_to_another_directory_means_other_files(tmp_path: Path) -> None:
    """Its relative paths start at the directory of its new file, though its text is the same."""
    table = PARTNER.replace('{ env = "KEY" }', '{ file = "key" }') + sink("partner", "out")
    for name in ("key", "sub/key"):
        written(tmp_path, KEY, name=name)
    written(tmp_path, "[providers]\n", name="sub/more.toml")
    before = loaded(written(tmp_path, MAIN + table))
    written(tmp_path, table, name="sub/more.toml")
    after = loaded(written(tmp_path, MAIN), before=before)
    assert after.secret_files == (tmp_path / "sub" / "key",)
    assert after.providers["partner"].sinks[0].target == str(tmp_path / "sub" / "out")


@pytest.mark.parametrize("one", ["1", "1.0", "true", '"1"', "[1]", "{ a = 1 }", "-0.0", "0.0"])
@pytest.mark.parametrize("other", ["1", "1.0", "true", '"1"', "[1]", "{ a = 1 }", "-0.0", "0.0"])
def test_values_that_toml_keeps_apart_are_kept_apart(tmp_path: Path, one: str, other: str) -> None:
    """1, 1.0 and true are equal in Python but different in a token's claims."""
    before = loaded(written(tmp_path, PARTNER + f"claims = {{ a = {one} }}\n"))
    after = loaded(written(tmp_path, PARTNER + f"claims = {{ a = {other} }}\n"), before=before)
    assert (after.providers["partner"] is before.providers["partner"]) is (one == other)
    # A reload applies only the providers that differ.
    assert (after.providers["partner"] == before.providers["partner"]) is (one == other)
    assert repr(after) == repr(loaded(tmp_path / "config.toml"))


@pytest.mark.parametrize("value", ["nan", "-nan", "inf", "1979-05-27", "1979-05-27T07:32:00Z", "07:32:00"])
def test_what_json_cannot_say_is_refused_also_where_it_looks_like_what_was_there(tmp_path: Path, value: str) -> None:
    """The valid table in force has a string with the same text."""
    before = loaded(written(tmp_path, PARTNER + f'claims = {{ a = "{value}" }}\n'))
    problem = only(refused(written(tmp_path, PARTNER + f"claims = {{ a = {value} }}\n"), before=before))
    assert problem.message.startswith("claims: it holds something that JSON cannot say")


# ------------------------------------------------------------------ checks that an unchanged table repeats


def test_a_new_sink_on_the_file_of_one_that_was_there_is_an_error(tmp_path: Path) -> None:
    """The error is at the second sink in the file and names the first, whichever of them is new."""
    table = PARTNER + sink("partner", "other") + sink("partner", "out")
    before = loaded(written(tmp_path, table))
    for text in (table + TT + sink("tt", "out"), TT + sink("tt", "out") + table):
        path = written(tmp_path, text)
        problem = only(refused(path, before=before))
        first, second = (number for number, line in enumerate(text.split("\n"), 1) if line == 'path = "out"')
        assert problem.line == second
        assert problem.message.endswith(f"is written by another sink already: {path}:{first}")


def test_a_secret_s_file_that_cannot_be_read_any_more_is_an_error(tmp_path: Path) -> None:
    """The secret's table did not change."""
    key = written(tmp_path, KEY, name="key")
    text = PARTNER.replace('{ env = "KEY" }', '{ file = "./key" }')
    before = loaded(written(tmp_path, text))
    key.unlink()
    assert only(refused(written(tmp_path, text + TT), before=before)).message.endswith(
        "/key cannot be read: No such file or directory"
    )


def test_a_literal_in_a_file_that_others_can_read_now_is_an_error(tmp_path: Path) -> None:
    """Only the file's mode changed. The warning about a literal is repeated at each reload."""
    path = written(tmp_path, PARTNER.replace('{ env = "KEY" }', f'"{KEY}"'))
    before = loaded(path)
    assert loaded(path, before=before).warnings == before.warnings != ()
    path.chmod(0o644)
    assert "others can read this file" in only(refused(path, before=before)).message


def test_the_proxy_s_password_the_tls_files_and_the_names_are_looked_at_again(tmp_path: Path) -> None:
    """These checks run at each reload, also for an unchanged table."""
    ca = written(tmp_path, CA_PEM, name="ca.pem")
    proxy = PROJECTX + 'proxy = "http://user:obviously-fake@proxy:1"\nca_file = "ca.pem"\n'
    path = written(tmp_path, proxy + 'access = { users = ["no-such-user-here"] }\n')
    before = loaded(path)
    assert loaded(path, before=before).warnings == before.warnings != ()
    ca.unlink()
    path.chmod(0o644)
    assert [problem.message.split(":")[0] for problem in refused(path, before=before)] == [
        "the proxy's password stands here and others can read this file",
        "ca_file",
    ]


# ------------------------------------------------------------------ any edit

NAMES = ("a", "b", "c")
SECRETS = ('{ env = "KEY" }', '{ file = "key" }', '{ file = "sub/key" }', '{ command = ["x"] }', f'"{KEY}"')
RIGHT = st.builds(
    lambda table, secret, more, sinks: (table.replace('{ env = "KEY" }', secret) + more, sinks),
    st.sampled_from([PARTNER, PARTNER + "claims = { n = 1 }\n", PARTNER + "claims = { n = true }\n", WALLET, PROJECTX]),
    st.sampled_from(SECRETS),
    st.sampled_from(["", "required = false\n", 'access = { users = ["no-such-user-here"] }\n', 'timeout = "1m"\n']),
    st.lists(st.sampled_from(["out", "./sub/../out", "sub/out", "other"]), max_size=2),
)
ANY = RIGHT | st.sampled_from([("[providers.partner]\n", []), (TT + "timeout = 5\n", []), (PARTNER, ["config.toml"])])
PLACES = st.sampled_from(["config.toml", "sub/more.toml"])
TABLES = st.dictionaries(st.sampled_from(NAMES), st.tuples(PLACES, RIGHT), min_size=1)
EDITS = st.dictionaries(st.sampled_from(NAMES), st.none() | PLACES | st.tuples(PLACES, ANY), max_size=2)
Table = tuple[str, tuple[str, list[str]]]
Tables = dict[str, Table]
Edits = dict[str, Table | str | None]


def edited(tables: Tables, edits: Edits) -> Tables:
    """Return the tables after ``edits``: None removes a table, a place moves it, a pair replaces it."""
    found = dict(tables)
    for name, edit in edits.items():
        if edit is None:
            found.pop(name, None)
        elif not isinstance(edit, str):
            found[name] = edit
        elif name in found:
            found[name] = (edit, found[name][1])
    return found


def put(directory: Path, tables: Tables, mode: int) -> Path:
    texts = {"config.toml": MAIN, "sub/more.toml": "[providers]\n"}
    for name, (place, (table, sinks)) in tables.items():
        head, _, rest = table.partition("\n")
        assert head.startswith("[providers.")
        texts[place] += f"[providers.{name}]\n{rest}" + "".join(sink(name, path) for path in sinks)
    written(directory, texts["sub/more.toml"], name="sub/more.toml", mode=mode)
    return written(directory, texts["config.toml"])


def outcome(path: Path, before: Config | None = None) -> Config | tuple[ConfigProblem, ...]:
    try:
        return loaded(path, before=before)
    except InvalidConfigError as error:
        return error.errors


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], max_examples=60)
@given(TABLES, EDITS, st.sampled_from([0o600, 0o644]), st.sampled_from([None, "key", "sub/key"]))
def test_a_reload_says_what_reading_again_says(tables: Tables, edits: Edits, mode: int, gone: str | None) -> None:
    """A reload after any change of tables or files reports the same as a first load."""
    with tempfile.TemporaryDirectory(prefix="tk-") as name:
        directory = Path(name)
        for key in ("key", "sub/key", "sub/sub/key"):
            written(directory, KEY, name=key)
        before = outcome(put(directory, tables, 0o600))
        if not isinstance(before, Config):
            reject()
        if gone is not None:
            (directory / gone).unlink()
        path = put(directory, edited(tables, edits), mode)
        after, anew = outcome(path, before), outcome(path)
        assert after == anew
        # `==` treats 1 and true as equal, and ignores the fields that are not compared; their repr differs.
        assert repr(after) == repr(anew)
