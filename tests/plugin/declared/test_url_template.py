"""URLs with placeholders: the host is fixed, values cannot lead elsewhere, credentials are refused."""

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tokend.plugin.declared.placeholders import Text, Value
from tokend.plugin.declared.url_template import UrlField, UrlTemplate, percent_encoded
from tokend.plugin.settings_base import Settings
from tokend.values.errors import TransientError
from tokend.values.secret import Secret

PLANTED = "planted-fake/?#&=%{"


def test_values_are_percent_encoded_in_path_and_query() -> None:
    """A value can leave neither its segment nor its parameter."""
    url = UrlTemplate.parse("https://store.example:8443/v1/{name}?a=1&b={name}")
    made = url.fill({"name": "a/../b?c&d=é"}, {"c": Text.parse("{name}")})
    encoded = "a%2F..%2Fb%3Fc%26d%3D%C3%A9"
    assert made == f"https://store.example:8443/v1/{encoded}?a=1&b={encoded}&c={encoded}"
    assert UrlTemplate.parse("https://h.example/x").fill({}, {"a b": Text.parse("1")}) == "https://h.example/x?a%20b=1"


@pytest.mark.parametrize(
    ("written", "origin", "shown"),
    [
        ("https://store.example/v1/{name}?key={value}", "https://store.example", "store.example/v1/{name}"),
        ("http://127.0.0.1:8500/v1/kv/a", "http://127.0.0.1:8500", "127.0.0.1:8500/v1/kv/a"),
        ("https://store.example?key={value}", "https://store.example", "store.example"),
    ],
)
def test_host_and_path_are_shown_with_their_placeholders_and_without_the_query(
    written: str, origin: str, shown: str
) -> None:
    """As a target's name."""
    url = UrlTemplate.parse(written)
    assert (url.origin, url.shown) == (origin, shown)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("https://{name}.example/", "a URL's host is fixed"), ("https://store.example{name}", "a URL's host is fixed"),
        ("https://store.example:{name}/", "a URL's host is fixed"), ("{name}", "a URL's host is fixed"),
        ("{name}://store.example/", "a URL's host is fixed"), ("https:/store.example", "write https://host/path"),
        ("https://me:planted@store.example/", "no user and no password"),
        ("https://{name}@store.example/", "a URL's host is fixed"),
        ("http://store.example/", "https:// only"), ("ftp://store.example/", "https://host"),
        ("store.example/x", "host"),
        ("https://store.example/a#b", "fragment"), ("https://store.example/a b", "percent-encoded"),
        ("https://store.example/é", "percent-encoded"), ("https://store.example/{{a}}", "percent-encoded"),
        ("https://store.example/a/../b", "no . and no .."), ("https://store.example/{", "no counterpart"),
        ("https://store.example\\@evil.example/", "no user"), ("https:///x", "https://host"),
        ("https://store.example:99999/", "no URL"),
    ],
)  # fmt: skip
def test_a_url_that_could_lead_elsewhere_is_refused(written: str, message: str) -> None:
    """The message quotes nothing of it."""
    with pytest.raises(ValueError, match=message.replace(".", r"\.")) as refused:
        UrlTemplate.parse(written)
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize(("value", "message"), [("", "is empty"), ("..", "leads elsewhere"), (".", "leads elsewhere")])
def test_a_value_that_would_change_the_path_is_not_sent(value: Value, message: str) -> None:
    """`DELETE /secrets/` or `/secrets/..` is another request; in a query such a value is harmless."""
    with pytest.raises(TransientError, match=message):
        UrlTemplate.parse("https://store.example/secrets/{version}").fill({"version": value}, {})
    assert UrlTemplate.parse("https://store.example/x?v={version}").fill({"version": value}, {}).endswith(f"v={value}")


def test_a_url_with_a_secret_does_not_show_it() -> None:
    """Its repr has the host only; a URL without one is shown whole."""
    url = UrlTemplate.parse("https://store.example/{value}")
    made = url.fill({"value": Secret(PLANTED)}, {})
    assert made == "https://store.example/planted-fake%2F%3F%23%26%3D%25%7B"
    assert repr(made) == "'https://store.example/…'"
    in_query = UrlTemplate.parse("https://store.example/x").fill(
        {"value": Secret(PLANTED)}, {"a": Text.parse("{value}")}
    )
    assert "planted" not in repr(in_query)
    assert repr(url.fill({"value": "a"}, {})) == "'https://store.example/a'"


def test_a_settings_field_parses_its_url() -> None:
    """Another type than a text is refused."""

    class Table(Settings):
        url: UrlField

    made = Table.model_validate({"url": "https://store.example/{name}"})
    assert made.url.names == ("name",)
    assert Table(url=made.url) == made
    assert Table.model_json_schema()
    for wrong in (5, "http://store.example"):
        with pytest.raises(ValidationError):
            Table.model_validate({"url": wrong})


@given(st.text(), st.text())
def test_no_value_changes_more_than_its_own_place(value: str, other: str) -> None:
    """Any text: host, number of segments and the other parameters stay; what arrives is the value."""
    value, other = (text.encode("utf-8", "replace").decode() for text in (value, other))
    url = UrlTemplate.parse("https://store.example/a/{x}/b?q={x}&r=1")
    try:
        parts = urlsplit(url.fill({"x": value}, {"s": Text.parse("{x}")} if other else {}))
    except TransientError:
        assert value in {"", ".", ".."}
        return
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "store.example", "")
    assert [unquote(one) for one in parts.path.split("/")] == ["", "a", value, "b"]
    wanted = [("q", value), ("r", "1"), *([("s", value)] if other else [])]
    assert parse_qsl(parts.query, keep_blank_values=True) == wanted


@pytest.mark.parametrize("host", ["169.254.169.254", "169.254.0.2:80", "[fd00:ec2::254]", "[fd00:ec2::23]:8080"])
def test_plain_http_leads_to_a_metadata_server(host: str) -> None:
    """Written as a number; the kind sees to it that no secret stands in the request."""
    assert UrlTemplate.parse(f"http://{host}/latest").is_metadata_server
    assert not UrlTemplate.parse(f"https://{host}/latest").is_metadata_server


@pytest.mark.parametrize(
    "host",
    ["metadata.google.internal", "169.255.0.1", "0xa9fea9fe", "2852039166", "169.254.1", "[fd00:ec2::255]", "[fe80::1]",
     "169.254.169.254.example", "[::ffff:169.254.169.254]", "169.254.169.254."],
)  # fmt: skip
def test_plain_http_leads_to_no_name_and_no_other_number(host: str) -> None:
    """A resolver could say anything."""
    with pytest.raises(ValueError, match="https:// only"):
        UrlTemplate.parse(f"http://{host}/")


def test_path_and_pairs_are_the_pieces_of_what_is_sent() -> None:
    """Whatever of them is empty; a ? in the query is a part of it."""
    paths = ("", "/{x}/b%2Fc", "?", "/?a={x}&b?c={x}&&")
    queries: tuple[dict[str, str], ...] = ({}, {"q": "{x}", "r s": "t&{x}u"})
    for url in (f"https://a.example{path}" for path in paths):
        for query in queries:
            texts = {name: Text.parse(text) for name, text in query.items()}
            template = UrlTemplate.parse(url)
            values: dict[str, Value] = {"x": "y&/?ä"}
            path = template.path.fill(values, percent_encoded)
            pairs = [pair.fill(values, percent_encoded) for pair in template.pairs(texts)]
            sent = template.fill(values, texts)
            mark = "?" if "?" in sent else ""
            assert f"https://a.example{path}{mark}{'&'.join(map(str, pairs))}" == sent
