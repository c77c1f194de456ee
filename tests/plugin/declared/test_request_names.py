"""Names of declared requests: which are needed, which are unknown, which are circles."""

import tomllib

import pytest

from tests.plugin.declared.signing_tables import request_of, values_of
from tokend.plugin.declared.placeholders import Text
from tokend.plugin.declared.request import Where
from tokend.plugin.declared.request_names import faults, name_faults, needed, text_faults, value_faults

VALUES = """
    [values.signature]
    hmac = "sha256"
    key = "secret"
    parts = ["path", { hash = "sha256", parts = ["counter_ms", "body"] }, "query"]
    [values.of_token]
    hash = "sha256"
    parts = ["token", "extra.X"]
    """
KNOWN = ("key", "secret", "token", "extra.X")


def found(request: str, values: str = VALUES, known: tuple[str, ...] = KNOWN) -> list[tuple[Where, str]]:
    table = tomllib.loads(values)["values"] if values else {}
    return list(faults(request_of(tomllib.loads(request)), values_of(table), known, ("request",)))


def test_a_request_needs_what_its_values_are_computed_of() -> None:
    """Through other values, path, query and body; not what is in the table and unused."""
    request = request_of(
        {
            "url": "https://api.example/{account}?q={now_s}",
            "headers": {"S": "{signature}"},
            "form": {"n": "{counter_us}"},
        }
    )
    values = values_of(tomllib.loads(VALUES)["values"])
    assert needed(request, values) == {
        "account", "now_s", "signature", "counter_us", "counter_ms", "secret", "path", "query", "body",
    }  # fmt: skip


def test_a_request_without_faults_has_none() -> None:
    """The signature in a header, and in the query whose other pairs it covers."""
    assert not found('form = { nonce = "{counter_ms}" }\nheaders = { S = "{signature}", T = "{of_token}" }')
    assert not found('query = { a = "{now_s}", s = "{signature}" }')


def test_an_unknown_name_is_shown_with_its_place() -> None:
    """And with the name that was probably meant."""
    [(where, text)] = found('json = { a = ["{signatur}"] }')
    assert where == ("request", "json", "a", 0)
    assert 'there is no placeholder "signatur" here' in text
    assert text.endswith('did you mean "signature"?')


@pytest.mark.parametrize(
    ("request_table", "where", "part"),
    [
        ('json = { a = "{key}", sign = "{signature}" }', ("request", "json", "sign"), "body"),
        ('text = "{body}"', ("request", "text"), "body"),
        ('form = { a = "{signature}" }', ("request", "form", "a"), "body"),
        ('url = "https://api.example/{signature}"', ("request", "url"), "path"),
    ],
)  # fmt: skip
def test_a_body_or_a_path_that_needs_itself_is_a_circle(request_table: str, where: Where, part: str) -> None:
    """Only the query may hold what is computed of the rest of it."""
    [(place, text)] = found(request_table)
    assert place == where
    assert f"computed over the {part} in which it stands, a circle" in text


def test_a_body_that_needs_itself_through_the_query_is_a_circle() -> None:
    """The query holds a digest of the body, and the body one of the query."""
    values = '[values.q]\nhash = "sha1"\nparts = ["query"]\n[values.b]\nhash = "sha1"\nparts = ["body"]'
    assert not found('query = { b = "{b}", a = "1" }\njson = { q = "{q}" }', values)
    values += '\n[values.both]\nhash = "sha1"\nparts = ["q", "b"]'
    [(where, _)] = found('json = { q = "{both}" }', values)
    assert where == ("request", "json", "q")


def test_a_value_of_a_name_that_this_request_has_not_is_a_fault_there() -> None:
    """There may be a token for one request and none for another."""
    texts = [text for _, text in found('headers = { T = "{of_token}" }', known=("key", "secret"))]
    assert texts == [f"{{of_token}} is computed of {name}, which there is not here" for name in ("extra.X", "token")]


@pytest.mark.parametrize(
    "place", ['headers = { K = "{key}" }', 'headers = { K = "{hidden}" }', 'query = { t = "{token}" }']
)
def test_no_secret_stands_in_a_request_to_a_metadata_server(place: str) -> None:
    """Neither as it is, nor in a value, nor a token held. Times, ids and a caller's parameters may."""
    values = '[values.hidden]\nhash = "sha1"\nparts = ["secret", "now_s"]\n'
    values += '[values.open]\nhash = "sha1"\nparts = ["now_s", "key"]'
    url = 'url = "http://169.254.169.254/latest"\n'
    [(where, text)] = found(url + place, values)
    assert where == ("request", "url")
    assert "would send {" in text
    request = request_of(tomllib.loads(url + 'headers = { A = "{open}", B = "{uuid}" }'))
    assert not list(faults(request, values_of(tomllib.loads(values)["values"]), ["key"], ("request",), ["key"]))


def test_faults_within_values_have_their_places() -> None:
    """Unknown names, braces around a name, and circles over one, two and more values."""
    values = values_of(
        {
            "a": {"hash": "sha1", "parts": ["pathh", {"hash": "md5", "parts": ["{path}"]}, "nothing"]},
            "b": {"parts": ["b"]}, "c": {"hash": "md5", "parts": ["d"]}, "d": {"parts": ["e"]},
            "e": {"parts": ["c", "b"]},
            "f": {"hmac": "md5", "key": "secrets", "parts": ["e"]}, "g": {"totp": "device"},
        }
    )  # fmt: skip
    assert dict(value_faults(values, KNOWN)) == {
        ("values", "a", "parts", 0): 'there is no name "pathh" here; did you mean "path"?',
        ("values", "a", "parts", 1, "parts", 0): 'a name stands alone here, without braces: "path"',
        ("values", "a", "parts", 2): 'there is no name "nothing" here; a text is written { text = … }',
        ("values", "b"): "it is computed of itself, a circle: b → b",
        ("values", "c"): "it is computed of itself, a circle: c → d → e → c",
        ("values", "d"): "it is computed of itself, a circle: d → e → c → d",
        ("values", "e"): "it is computed of itself, a circle: e → c → d → e",
        ("values", "f", "key"): 'there is no name "secrets" here; did you mean "secret"?',
        ("values", "g", "totp"): 'there is no name "device" here',
    }


def test_a_name_is_declared_once_and_not_built_in() -> None:
    """The error stands where the second one is."""
    assert dict(name_faults(["key", "now_s", "a-b"], ["key", "body", "sig"], ["sig", "token", "user"])) == {
        ("secrets", "now_s"): "{now_s} is built in: choose another name",
        ("secrets", "a-b"): "a name is letters, digits and _, and begins with no digit: it stands in {…}",
        ("values", "key"): "secrets.key has this name, too: {key} could be either",
        ("values", "body"): "{body} is built in: choose another name",
        ("parameters", "sig"): "values.sig has this name, too: {sig} could be either",
        ("parameters", "token"): "{token} is built in: choose another name",
    }


def test_a_text_outside_a_request_has_no_part_of_one() -> None:
    """Neither itself nor through a value."""
    values = values_of(tomllib.loads(VALUES)["values"])
    text = Text.parse("{token} {of_token} {now_s} {body} {signature} {tokn}")
    texts = [fault for _, fault in text_faults(text, values, KNOWN, ("headers", "X"))]
    assert texts[0].startswith('there is no placeholder "body" here')
    assert texts[1:4] == [
        f"{{signature}} is computed of the {part} of a request, and there is none here"
        for part in ("body", "path", "query")
    ]
    assert texts[4].endswith('did you mean "token"?')
