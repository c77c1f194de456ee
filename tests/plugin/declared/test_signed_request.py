"""Signed requests: published vectors of vendors, the sent bytes as the signed ones, and what stays secret."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from tests.plugin.declared.signing_tables import AT, filled, header, made, request_of, values_of
from tokend.plugin.declared.built_in_names import Moment
from tokend.plugin.declared.placeholders import Value
from tokend.plugin.declared.signed_request import LARGEST_VALUE_BYTES
from tokend.plugin.declared.url_template import SecretUrl
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.values.errors import SecretError, TransientError
from tokend.values.secret import Secret

KEYS: dict[str, Value] = {
    "key": Secret("fake-key"),
    "secret": Secret("fake-secret"),
    "passphrase": Secret("fake-phrase"),
}

KRAKEN = """
[request]
method = "POST"
url = "https://api.kraken.com/0/private/GetWebSocketsToken"
form = { nonce = "{counter_ms}" }
headers = { API-Key = "{key}", API-Sign = "{signature}" }
[values.signature]
hmac = "sha512"
key = "secret"
parts = ["path", { hash = "sha256", parts = ["counter_ms", "body"] }]
output = "base64"
"""

SLACK = """
[request]
method = "POST"
url = "https://hooks.example/services"
headers = { X-Slack-Request-Timestamp = "{now_s}", X-Slack-Signature = "{signature}" }
[request.form]
token = "xyzz0WbapA4vBCDEFasx0q6G"
team_id = "T1DC2JH3J"
team_domain = "testteamnow"
channel_id = "G8PSS9T3V"
channel_name = "foobar"
user_id = "U2CERLKJA"
user_name = "roadrunner"
command = "/webhook-collect"
text = ""
response_url = "https://hooks.slack.com/commands/T1DC2JH3J/397700885554/96rGlfmibIGlgcZRskXaIFfN"
trigger_id = "398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
[values.signature]
hmac = "sha256"
key = "secret"
parts = [{ text = "v0" }, "now_s", "body"]
separator = ":"
prefix = "v0="
"""

BINANCE = """
[request]
method = "POST"
url = "https://api.binance.com/api/v3/order"
headers = { X-MBX-APIKEY = "{key}" }
[request.query]
symbol = "LTCBTC"
side = "BUY"
type = "LIMIT"
timeInForce = "GTC"
quantity = 1
price = "0.1"
recvWindow = 5000
timestamp = "{now_ms}"
signature = "{signature}"
[values.signature]
hmac = "sha256"
key = "secret"
parts = ["query"]
"""


def test_kraken_signs_its_path_and_a_raw_hash_of_nonce_and_body() -> None:
    """The issue's vector of the token for web sockets."""
    secret = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
    given: dict[str, Value] = {"key": Secret("fake-key"), "secret": Secret(base64.b64decode(secret))}
    request = made(KRAKEN, given, last=1616492376593)
    assert request.body == b"nonce=1616492376594"
    assert header(request, "API-Sign") == (
        "+mRDmY9Ks0Moc1zjv/BjfvYa98buO0x1yHChZR5onlfAzAUbfIYlLggUZzdQ0RsmXm4Sh+Q8iAIZdo2wSeHeiA=="
    )
    assert header(request, "API-Key") == "fake-key"
    assert "+mRDmY9" not in repr(request.headers)


def test_slack_signs_a_version_a_time_and_the_body() -> None:
    """The vector of its documentation."""
    at = datetime.fromtimestamp(1531420618, UTC)
    request = made(SLACK, {"secret": Secret("8f742231b10e8888abcd99yyyzzz85a5")}, at)
    assert header(request, "X-Slack-Signature") == (
        "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    )
    assert request.headers["X-Slack-Request-Timestamp"] == "1531420618"


@pytest.mark.parametrize("first", [False, True])
def test_binance_signs_the_whole_query_but_the_signature_in_it(first: bool) -> None:
    """The vector of its documentation. Where the signature stands does not matter to what is signed."""
    at = datetime(2017, 7, 12, 2, 41, 59, 559000, tzinfo=UTC)
    key: dict[str, Value] = {"key": Secret("fake"), "secret": Secret(BINANCE_SECRET)}
    line, start = 'signature = "{signature}"\n', "[request.query]\n"
    table = BINANCE.replace(line, "").replace(start, start + line) if first else BINANCE
    request = made(table, key, at)
    signature = "signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    others = (
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
    )
    assert urlsplit(request.url).query == (f"{signature}&{others}" if first else f"{others}&{signature}")
    assert isinstance(request.url, SecretUrl)


BINANCE_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"  # published


def signed(key: bytes, message: str, name: str = "sha256") -> bytes:
    return hmac.digest(key, message.encode(), name)


def exchange(parts: str, *, query: str = "?a=b%20c", body: str = 'json = { x = "{now_s}" }', more: str = "") -> str:
    return f"""
        [request]
        method = "POST"
        url = "https://api.example:8443/v5/sub%2Faccount{query}"
        {body}
        headers = {{ Sign = "{{signature}}", Phrase = "{{phrase}}" }}
        [values.signature]
        hmac = "sha256"
        key = "secret"
        parts = {parts}
        {more}
        [values.phrase]
        hmac = "sha256"
        key = "secret"
        parts = ["passphrase"]
        output = "base64"
        """


def test_path_query_and_body_are_the_bytes_that_are_sent() -> None:
    """As OKX and Coinbase sign them; and KuCoin's passphrase, which is signed itself."""
    parts = '["now_iso", "method", "path", { text = "?" }, "query", "body"]'
    request = made(exchange(parts, more='output = "base64"'), KEYS)
    moment = "2026-11-30T12:00:00.123Z"
    message = f"{moment}POST{request.url.partition(':8443')[2]}{request.body.decode()}"
    assert message == f'{moment}POST/v5/sub%2Faccount?a=b%20c{{"x":{int(AT.timestamp())}}}'
    assert header(request, "Sign") == base64.b64encode(signed(b"fake-secret", message)).decode()
    assert header(request, "Phrase") == base64.b64encode(signed(b"fake-secret", "fake-phrase")).decode()


def test_the_host_is_the_header_that_is_sent_and_a_text_body_is_signed_as_it_is() -> None:
    """With a port that is not the scheme's own; without a query the text is empty."""
    request = made(exchange('["host", "query", "body"]', query="", body='text = "ä{key}"'), KEYS)
    assert header(request, "Sign") == signed(b"fake-secret", "api.example:8443äfake-key").hex()


def test_gate_signs_a_digest_of_the_body_as_text() -> None:
    """A value is a part of another one. There is a part for an empty path, and one for no body."""
    table = """
        [request]
        method = "GET"
        url = "https://api.example?b=2&a=1"
        headers = { SIGN = "{signature}" }
        [values.digest]
        hash = "sha512"
        parts = ["body"]
        [values.signature]
        hmac = "sha512"
        key = "secret"
        separator = "\\n"
        parts = ["method", "path", "query", "digest", "now_s"]
        """
    nothing = hashlib.sha512(b"").hexdigest()
    message = f"GET\n/\nb=2&a=1\n{nothing}\n{int(AT.timestamp())}"
    assert header(made(table, KEYS), "SIGN") == signed(b"fake-secret", message, "sha512").hex()


def test_a_query_is_signed_sorted_with_and_without_its_encoding() -> None:
    """Sorted by name; what is sent keeps its order."""
    table = exchange('[{ query = "sorted" }, { query = "sorted", decoded = true }]', query="?b=2%2B&a=%C3%A4&b=1")
    request = made(table, KEYS)
    assert request.url.endswith("?b=2%2B&a=%C3%A4&b=1")
    assert header(request, "Sign") == signed(b"fake-secret", "a=%C3%A4&b=2%2B&b=1a=ä&b=2+&b=1").hex()


def test_a_query_in_a_body_and_a_body_in_a_query_are_signed_each_over_the_other() -> None:
    """What the query needs of itself is left out on any way, here through the body."""
    table = """
        [request]
        method = "POST"
        url = "https://api.example/x?one=1&sum={of_body}&two=2"
        json = { sum = "{of_query}" }
        [values.of_query]
        hash = "sha256"
        parts = ["query"]
        [values.of_body]
        hash = "sha256"
        parts = ["body"]
        """
    request = made(table, {})
    in_body = hashlib.sha256(b"one=1&two=2").hexdigest()
    assert request.body == f'{{"sum":"{in_body}"}}'.encode()
    assert request.url == f"https://api.example/x?one=1&sum={hashlib.sha256(request.body).hexdigest()}&two=2"
    assert not isinstance(request.url, SecretUrl)  # nothing secret is in any of them


@pytest.mark.parametrize("place", ["query", "form", "headers"])
def test_a_digest_of_a_secret_is_a_secret(place: str) -> None:
    """In whichever part of the request it stands."""
    table = f"""
        [request]
        method = "POST"
        url = "https://api.example/x"
        {place} = {{ S = "{{sum}}" }}
        [values.sum]
        hash = "sha256"
        parts = ["key"]
        """
    request, digest = made(table, KEYS), hashlib.sha256(b"fake-key").hexdigest()
    sent = {
        "query": request.url,
        "form": request.body.decode(),
        "headers": header(request, "S") if place == "headers" else "",
    }
    assert digest in sent[place]
    assert digest not in repr((request, request.headers))


@pytest.mark.parametrize(
    ("where", "part"),
    [("url = 'https://api.example/{key}'", "path"), ("query = { a = '{key}' }", "query"), ("text = '{key}'", "body")],
)
def test_a_digest_of_a_part_with_a_secret_is_a_secret(where: str, part: str) -> None:
    """Path, query and body."""
    url = "" if "url" in where else "url = 'https://api.example/x'"
    table = f"""
        [request]
        method = "POST"
        {url}
        {where}
        headers = {{ S = "{{sum}}", T = "{{{part}}}" }}
        [values.sum]
        hash = "sha256"
        parts = ["{part}"]
        """
    request = made(table, KEYS)
    assert isinstance(request.headers["S"], Secret)
    assert "fake-key" in header(request, "T")
    assert "fake-key" not in repr(request.headers)


def test_a_key_of_bytes_signs_and_is_no_text() -> None:
    """The error names the placeholder, not the key."""
    given: dict[str, Value] = {**KEYS, "secret": Secret(b"\xff\x00fake")}
    parts = '["body"]'
    request = made(exchange(parts), given)
    assert header(request, "Sign") == signed(b"\xff\x00fake", request.body.decode()).hex()
    with pytest.raises(SecretError, match=r"the secret in \{secret\} is not UTF-8 text"):
        made(exchange(parts, body='text = "{secret}"'), given)


def test_a_text_that_is_no_unicode_is_not_sent() -> None:
    """An answer may hold half of a pair of surrogates."""
    with pytest.raises(TransientError, match=r"\{extra\.X\} is not valid Unicode"):
        made(exchange('["body"]', body='text = "{extra.X}"'), {**KEYS, "extra.X": "\ud800"})


def test_json_keeps_the_type_of_a_number() -> None:
    """A secret is a text there."""
    body = 'json = { nonce = "{counter_us}", at = "{now_ms}", text = "at {now_ms}", key = "{key}", none = "{extra.x}" }'
    request = made(exchange('["body"]', body=body), {**KEYS, "extra.x": None}, last=4)
    at = int(AT.timestamp() * 1000)
    assert request.body == f'{{"nonce":5,"at":{at},"text":"at {at}","key":"fake-key","none":null}}'.encode()


def test_a_value_that_grows_without_end_is_refused() -> None:
    """Each value is twice the one before it."""
    double = {f"v{n}": {"parts": [f"v{n - 1}"] * 2} for n in range(1, 40)}
    values = values_of({"v0": {"parts": [{"text": "x" * 1000}]}, **double})
    request = request_of({"text": "{v39}"})
    with pytest.raises(TransientError, match=f"has more than {LARGEST_VALUE_BYTES // 1024} KiB"):
        filled(request, values, {}, Moment(AT))


def test_one_attempt_has_one_uuid_and_the_next_has_another() -> None:
    """Header, body and signature hold the same."""
    table = exchange('["uuid", "random_hex"]', body='text = "{uuid} {random_hex}"')
    one, other = made(table, KEYS), made(table, KEYS)
    assert header(one, "Sign") == signed(b"fake-secret", one.body.decode().replace(" ", "")).hex()
    assert set(one.body.split()).isdisjoint(other.body.split())


def test_the_same_names_again_make_the_same_request() -> None:
    """Nothing but the moment changes a request."""
    moment = Moment(AT, {"counter_ms": 7})
    requests: list[UpstreamRequest] = []
    for _ in range(2):
        values = values_of({"s": {"hmac": "sha1", "key": "key", "parts": ["body", "uuid"]}})
        requests.append(
            filled(request_of({"form": {"a": "{counter_ms}"}, "query": {"s": "{s}"}}), values, KEYS, moment)
        )
    assert requests[0] == requests[1]
