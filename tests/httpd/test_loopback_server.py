"""The loopback port: the same interface for clients with the secret, none of which has special rights."""

import json

import pytest

from tests.api.described import is_described
from tests.httpd.loopback_port import BEARER, Port


def test_the_ports_own_document_describes_its_refusals(port: Port) -> None:
    """401 with its scheme, and 403."""
    document = json.loads(port.ask("GET", "/openapi.json", BEARER).body)
    assert document["security"]
    for target, path in (("/v1/tokens/demo", "/v1/tokens/{name}"), ("/v1/status", "/v1/status")):
        is_described(document, port.ask("GET", target), "get", path)
        is_described(document, port.ask("GET", target, BEARER, host="evil.example"), "get", path)
        is_described(document, port.ask("GET", target, BEARER), "get", path)
    assert "security" not in json.loads(port.beside.get("/openapi.json").body)


def test_a_text_that_is_remembered_on_the_unix_socket_opens_nothing_here(port: Port) -> None:
    """What is answered there without parsing needs the secret here."""
    text = f"GET /v1/tokens/demo HTTP/1.1\r\nHost: localhost:{port.server.port}\r\n\r\n"
    for _ in range(3):
        with port.beside.client() as client:
            client.send(text.encode())
            assert client.reply().status == 200
    assert text.encode() in port.beside.service.answers.texts
    assert b" 401 " in port.raw(text)


# ------------------------------------------------------------------ web pages


@pytest.mark.parametrize("header", ["Origin", "Referer", "Sec-Fetch-Site"])
@pytest.mark.parametrize("target", ["/v1/tokens/demo", "/livez"])
def test_web_pages_are_refused_even_with_the_secret(port: Port, header: str, target: str) -> None:
    """As on the Unix socket."""
    reply = port.ask("GET", target, {**BEARER, header: "http://localhost"})
    assert (reply.status, json.loads(reply.body)["code"]) == (403, "denied")


# ------------------------------------------------------------------ nobody special


def test_a_token_with_access_is_not_there(port: Port) -> None:
    """The same process, root's or the daemon's, reads it on the Unix socket; not here."""
    assert port.beside.get("/v1/tokens/hidden").status == 200
    assert port.ask("GET", "/v1/tokens/hidden", BEARER).status == 404
    assert port.ask("GET", "/v1/tokens/units", BEARER).status == 404
    for target in ("/v1/tokens", "/v1/status"):
        names = [row["name"] for row in json.loads(port.ask("GET", target, BEARER).body)["tokens"]]
        assert names == ["demo", "wallet"]


@pytest.mark.parametrize("target", ["/v1/reload", "/v1/tokens/demo/forget", "/v1/tokens/demo/refresh"])
def test_nobody_is_an_admin_here(port: Port, target: str) -> None:
    """reload, forget, and refresh at will are the Unix socket's."""
    reply = port.ask("POST", target, BEARER, body={})
    assert (reply.status, json.loads(reply.body)["code"]) == (403, "denied")
    assert port.ask("POST", target, body={}).status == 401


def test_what_every_reader_may_do_is_possible(port: Port) -> None:
    """refresh of a generation that failed, and issue."""
    generation = json.loads(port.ask("GET", "/v1/tokens/demo", BEARER).body)["generation"]
    body = {"if_generation": generation}
    assert port.ask("POST", "/v1/tokens/demo/refresh", BEARER, body=body).status == 200
    assert port.ask("POST", "/v1/tokens/wallet/issue", BEARER, body={"url": "/pay"}).status == 201
