"""Declared requests: what is sent, what cannot be declared, and the place of an unknown placeholder."""

from typing import Any

import pytest
from pydantic import ValidationError

from tokend.plugin.declared.placeholders import Value
from tokend.plugin.declared.request import RequestSettings, refuse_keys, unknown_names
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.values.secret import Secret

PLANTED = "planted fake&=ä"
VALUES: dict[str, Value] = {"value": Secret(PLANTED), "name": "tt", "generation": 7}
URL = "https://store.example/x"


def settings(**keys: Any) -> RequestSettings:
    return RequestSettings.model_validate({"method": "POST", "url": URL, **keys})


def made(**keys: Any) -> UpstreamRequest:
    return settings(**keys).make(VALUES)


def test_a_json_body_a_form_and_a_text_have_their_content_type() -> None:
    """A header of the table counts more."""
    assert made(json={"a": "{name}"}).body == b'{"a":"tt"}'
    assert made(json=["{name}"]).headers == {"Content-Type": "application/json", "Accept": "application/json"}
    form = made(form={"a b": "{value}", "n": 5})
    assert form.body == b"a%20b=planted%20fake%26%3D%C3%A4&n=5"
    assert form.headers["Content-Type"] == "application/x-www-form-urlencoded"
    text = made(text="[{value}]", headers={"content-type": "text/x", "ACCEPT": "*/*"})
    assert (text.body, text.headers) == (f"[{PLANTED}]".encode(), {"content-type": "text/x", "ACCEPT": "*/*"})
    assert made(text="plain").body == b"plain"
    assert (made().body, made().headers) == (b"", {"Accept": "application/json"})


def test_a_secret_stays_one_until_it_is_sent() -> None:
    """In a header it is a `Secret`; no repr shows it."""
    request = made(headers={"X-Token": "T {value}", "X-Name": "{name}"}, query={"q": "{value}"}, text="{value}")
    assert request.headers["X-Token"] == Secret(f"T {PLANTED}")
    assert request.headers["X-Name"] == "tt"
    assert request.url == f"{URL}?q=planted%20fake%26%3D%C3%A4"
    assert "planted" not in repr(request)
    literal = settings(text="planted", url=f"{URL}?planted", headers={"A": "planted"}, query={"a": "planted"})
    assert "planted" not in repr(literal)


def test_what_is_an_absent_placeholder_alone_is_left_out() -> None:
    """In the query, the headers, a form and JSON; a text with more stays, as an empty one does."""
    whole = settings(
        url=f"{URL}?own={{a}}", query={"q": "{a}", "r": "{b}", "s": "-{a}"}, headers={"X-A": "{a}", "X-B": "{b}"},
        json={"a": "{a}", "b": ["{a}", "{b}", {"c": "{a}"}], "d": "{a}!"},
    )  # fmt: skip
    request = whole.without({"a"}).make({"a": "", "b": "1"})
    assert request.url == f"{URL}?own=&r=1&s=-"
    assert request.body == b'{"b":["1",{}],"d":"!"}'
    assert [name for name in request.headers if name.startswith("X-")] == ["X-B"]
    assert settings(form={"a": "{a}", "b": "{b}"}).without({"a"}).make({"b": "2"}).body == b"b=2"
    assert whole.without(()) is whole


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"json": {}, "text": ""}, "one body: json or text"), ({"form": {}, "method": "GET"}, "a GET has no body"),
        ({"method": "FETCH"}, "Input should be"), ({"headers": {"Host": "evil.example"}}, "Host is set by tokend"),
        ({"headers": {"content-length": "1"}}, "content-length is set"), ({"headers": {"a": "1", "A": "2"}}, "twice"),
        ({"headers": {"X-{name}": "1"}}, "a header's name"), ({"headers": {"A": "a\r\nB: c"}}, "one line of ASCII"),
        ({"headers": {"A": "ä{name}"}}, "one line of ASCII"), ({"nothing": 1}, "Extra inputs"),
        ({"url": "http://store.example/"}, "https:// only"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused(keys: dict[str, Any], message: str) -> None:
    """When the configuration is read."""
    with pytest.raises(ValidationError, match=message):
        settings(**keys)


def test_an_unknown_placeholder_has_the_path_of_its_key() -> None:
    """All of them at once."""
    table = settings(
        url=f"{URL}/{{a}}", query={"q": "{b}"}, headers={"H": "{c}"}, json={"x": [{"y": "{d}"}], "z": "{name}"}
    )
    with pytest.raises(ValidationError) as refused:
        refuse_keys(unknown_names({("inspect",): (table, ["name"])}))
    assert [error["loc"] for error in refused.value.errors()] == [
        ("inspect", "url"), ("inspect", "query", "q"), ("inspect", "headers", "H"), ("inspect", "json", "x", 0, "y"),
    ]  # fmt: skip
    refuse_keys(unknown_names({(): (table, ["a", "b", "c", "d", "name"])}))
    for body in ({"form": {"f": "{e}"}}, {"text": "{e}"}):
        [(where, fault)] = unknown_names({(): (settings(**body), ["name"])})
        assert where[0] in body
        assert 'no placeholder "e" here' in fault
