"""Signed requests of tables against ccxt, an independent client of exchanges: the same bytes."""

import base64
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.counterparts.programs import lack
from tests.plugin.declared.signing_tables import made
from tokend.plugin.declared.placeholders import Value
from tokend.values.secret import Secret

SIGNER = Path(__file__).with_name("ccxt_signer.py")
AT = datetime(2026, 11, 30, 12, 0, 0, 123000, tzinfo=UTC)
MILLISECONDS = 1796040000123
RAW = b"an-obviously-fake-secret-of-an-exchange"
KEYS = {"apiKey": "fake-key", "secret": RAW.decode(), "password": "fake-passphrase"}
IN_BASE64 = {**KEYS, "secret": base64.b64encode(RAW).decode()}
GIVEN: dict[str, Value] = {
    "key": Secret(KEYS["apiKey"]), "secret": Secret(RAW), "passphrase": Secret(KEYS["password"]),
}  # fmt: skip
# What ccxt adds of itself.
ITS_OWN = {"X-CHANNEL-API-CODE", "Referer", "X-Gate-Size-Decimal"}

QUERY = 'query = { currency = "BTC", note = "a-b" }'
BODY = 'json = { currency = "BTC", size = 5, note = "a/b" }'
PARAMS = {"currency": "BTC", "note": "a-b"}
IN_BODY = {"currency": "BTC", "size": 5, "note": "a/b"}


def table(method: str, url: str, content: str, headers: str, signature: str, more: str = "") -> str:
    return f"""
        [request]
        method = "{method}"
        url = "{url}"
        {content}
        headers = {{ Content-Type = "application/json", {headers} }}
        [values.signature]
        key = "secret"
        {signature}
        {more}
        """


def bybit(method: str, path: str, content: str) -> str:
    signed = "body" if method == "POST" else "query"
    headers = """X-BAPI-API-KEY = "{key}", X-BAPI-TIMESTAMP = "{now_ms}", X-BAPI-RECV-WINDOW = "5000",
        X-BAPI-SIGN = "{signature}" """.replace("\n", "")
    parts = f'hmac = "sha256"\nparts = ["now_ms", "key", {{ text = "5000" }}, "{signed}"]'
    return table(method, f"https://api.bybit.com/{path}", content, headers, parts)


def passphrased(url: str, name: str, time: str, signed: str) -> Any:
    def written(method: str, path: str, content: str) -> str:
        tail = '{ text = "?" }, "query"' if content == QUERY else '"body"'
        headers = f"""{name}KEY = "{{key}}", {name}PASSPHRASE = "{{passphrase}}", {name}TIMESTAMP = "{{{time}}}",
            {name}SIGN = "{{signature}}" """.replace("\n", "")
        parts = f'hmac = "sha256"\nparts = ["{time}", "method", "path", {tail}]\noutput = "base64"'
        return table(method, f"{url}/{path}", content, headers, parts)

    return written


def gate(method: str, path: str, content: str) -> str:
    headers = 'KEY = "{key}", Timestamp = "{now_s}", SIGN = "{signature}"'
    query = '{ query = "raw", decoded = true }'
    parts = f'hmac = "sha512"\nseparator = "\\n"\nparts = ["method", "path", {query}, "digest", "now_s"]'
    digest = '[values.digest]\nhash = "sha512"\nparts = ["body"]'
    return table(method, f"https://api.gateio.ws/api/v4/{path}", content, headers, parts, digest)


def kraken(method: str, path: str, content: str) -> str:
    parts = 'parts = ["path", { hash = "sha256", parts = ["counter_ms", "body"] }]'
    headers = 'API-Key = "{key}", API-Sign = "{signature}"'
    url = f"https://api.kraken.com/0/private/{path}"
    written = table(method, url, content, headers, f'hmac = "sha512"\n{parts}\noutput = "base64"')
    return written.replace("application/json", "application/x-www-form-urlencoded")


okx = passphrased("https://www.okx.com/api/v5", "OK-ACCESS-", "now_iso", "base64")
bitget = passphrased("https://api.bitget.com/api", "ACCESS-", "now_ms", "base64")
coinbase = passphrased("https://api.exchange.coinbase.com", "CB-ACCESS-", "now_s", "base64")
GET, POST = ("GET", QUERY, PARAMS), ("POST", BODY, IN_BODY)
NONCE = 'form = {{ nonce = "{{counter_ms}}"{} }}'

# By name: what writes the table, ccxt's name and keys, its parts of the interface, the paths of both, and the content.
CASES: dict[str, tuple[Any, str, dict[str, str], list[str], str, str, tuple[str, str, dict[str, Any]]]] = {
    "bybit-get": (bybit, "bybit", KEYS, ["private"], "v5/account/x", "v5/account/x", GET),
    "bybit-post": (bybit, "bybit", KEYS, ["private"], "v5/account/x", "v5/account/x", POST),
    "okx-get": (okx, "okx", KEYS, ["private"], "account/x", "account/x", GET),
    "okx-post": (okx, "okx", KEYS, ["private"], "account/x", "account/x", POST),
    "bitget-get": (bitget, "bitget", KEYS, ["private", "spot"], "v2/x", "v2/x", GET),
    "bitget-post": (bitget, "bitget", KEYS, ["private", "spot"], "v2/x", "v2/x", POST),
    "coinbase-get": (coinbase, "coinbaseexchange", IN_BASE64, ["private"], "accounts", "accounts", GET),
    "coinbase-post": (coinbase, "coinbaseexchange", IN_BASE64, ["private"], "accounts", "accounts", POST),
    "gate-get": (gate, "gate", KEYS, ["private", "spot"], "accounts", "spot/accounts", GET),
    "gate-encoded": (
        gate, "gate", KEYS, ["private", "spot"], "x", "spot/x", ("GET", 'query = { a = "b c/d" }', {"a": "b c/d"}),
    ),
    "gate-post": (gate, "gate", KEYS, ["private", "spot"], "orders", "spot/orders", POST),
    "kraken-token": (
        kraken, "kraken", IN_BASE64, ["private"], "GetWebSocketsToken", "GetWebSocketsToken",
        ("POST", NONCE.format(""), {}),
    ),
    "kraken-form": (
        kraken, "kraken", IN_BASE64, ["private"], "Balance", "Balance",
        ("POST", NONCE.format(', asset = "XBT", note = "a-b"'), {"asset": "XBT", "note": "a-b"}),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def signed() -> dict[str, Any]:
    """What ccxt signs in each case."""
    python = os.environ.get("TOKEND_CCXT_PYTHON", sys.executable)
    asked = [
        {"exchange": name, "keys": keys, "milliseconds": MILLISECONDS, "path": path, "api": api, "method": method,
         "params": params}
        for _, name, keys, api, path, _, (method, _, params) in CASES.values()
    ]  # fmt: skip
    ended = subprocess.run([python, str(SIGNER)], input=json.dumps(asked), capture_output=True, text=True, check=False)
    if "No module named 'ccxt" in ended.stderr:
        lack("ccxt is not installed: pip install ccxt, or TOKEND_CCXT_PYTHON names a Python that has it")
    assert ended.returncode == 0, ended.stderr
    return dict(zip(CASES, json.loads(ended.stdout), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_a_table_signs_as_ccxt_does(name: str, signed: dict[str, Any]) -> None:
    """URL, body and all headers."""
    write, _, _, _, _, path, (method, content, _) = CASES[name]
    request = made(write(method, path, content), GIVEN, AT, last=MILLISECONDS - 1)
    theirs = signed[name]
    assert (request.method, request.url, request.body.decode()) == (method, theirs["url"], theirs["body"] or "")
    ours = {key: value if isinstance(value, str) else value.reveal() for key, value in request.headers.items()}
    assert ours.items() >= {key: value for key, value in theirs["headers"].items() if key not in ITS_OWN}.items()
