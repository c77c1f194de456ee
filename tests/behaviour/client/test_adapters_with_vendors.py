"""The adapters with a real daemon and the sandbox: request ids of TT, and tokens that are issued per request."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
import httpx
import pytest
import requests

from tests.cli.running import Running
from tests.client.adapters import ADAPTERS, Adapter, Call
from tests.client.conftest import running
from tokend.client import BadRequestError, DeniedError, OriginError
from tokend.client.aiohttp import TokendAuth as AiohttpAuth
from tokend.client.aiohttp import TokendSignature as AiohttpSignature
from tokend.client.httpx import TokendAuth as HttpxAuth
from tokend.client.httpx import TokendSignature as HttpxSignature
from tokend.client.requests import TokendAuth as RequestsAuth
from tokend.client.requests import TokendSignature as RequestsSignature

__all__ = ["running"]

USERS = "/ttuser/ext_uat_cert/users"
TRANSFER, BALANCE = "/api/wallet/transfer", "/api/wallet/balance"
ORDER = {"currency": "BTC", "amount": "0.001", "orderId": "12345"}


@pytest.fixture
def url(running: Running) -> str:
    """The sandbox's address."""
    line = next(line for line in running.config.read_text().splitlines() if line.startswith("base_url"))
    return line.partition('"')[2].rstrip('"')


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_tt_takes_every_call_of_a_session(running: Running, url: str, adapter: Adapter) -> None:
    """It demands a requestId that was never used before."""
    found = adapter(str(running.socket), [Call(url + USERS)] * 10)
    assert [answer.status for answer in found] == [200] * 10
    assert json.loads(found[0].body)["status"] == "Ok"


def parameters(path: str, body: bytes | str | None) -> dict[str, str]:
    """What the wallet wants to be signed of a request."""
    return {"url": path, **(json.loads(body) if body else {})}


def test_the_wallet_takes_a_token_per_request_with_httpx(running: Running, url: str) -> None:
    """In a Client and in an AsyncClient, by a function and by a coroutine function."""

    def of(request: httpx.Request) -> Mapping[str, str]:
        return parameters(request.url.path, request.content)

    async def async_of(request: httpx.Request) -> Mapping[str, str]:
        await asyncio.sleep(0)
        return of(request)

    with httpx.Client(auth=HttpxAuth("wallet", parameters=of, client=running.client), trust_env=False) as client:
        assert client.post(url + TRANSFER, json=ORDER).json()["data"] == ORDER
        assert client.get(url + BALANCE).status_code == 200

    async def main(function: Any) -> list[int]:
        auth = HttpxAuth("wallet", parameters=function, client=running.client)
        async with httpx.AsyncClient(auth=auth, trust_env=False) as client:
            return [
                (await client.post(url + TRANSFER, json=ORDER)).status_code,
                (await client.get(url + BALANCE)).status_code,
            ]

    assert asyncio.run(main(of)) == asyncio.run(main(async_of)) == [200, 200]
    with (
        httpx.Client(auth=HttpxAuth("wallet", parameters=async_of, client=running.client), trust_env=False) as client,
        pytest.raises(TypeError, match="for an AsyncClient only"),
    ):
        client.get(url + BALANCE)


def test_the_wallet_takes_a_token_per_request_with_requests(running: Running, url: str) -> None:
    """The prepared request has the very body that is sent."""

    def of(request: requests.PreparedRequest) -> Mapping[str, str]:
        body = request.body
        return parameters(request.path_url, body if isinstance(body, bytes | str) else None)

    with requests.Session() as session:
        session.trust_env = False
        session.auth = RequestsAuth("wallet", parameters=of, client=running.client)
        assert session.post(url + TRANSFER, json=ORDER, timeout=40).json()["data"] == ORDER
        assert session.get(url + BALANCE, timeout=40).status_code == 200


def test_the_wallet_takes_a_token_per_request_with_aiohttp(running: Running, url: str) -> None:
    """A coroutine function reads the body."""

    async def of(request: aiohttp.ClientRequest) -> Mapping[str, str]:
        return parameters(request.url.path, await request.body.as_bytes() if request.body else None)

    async def main() -> list[int]:
        auth = AiohttpAuth("wallet", parameters=of, client=running.client)
        async with (
            aiohttp.ClientSession(middlewares=[auth]) as session,
            session.post(url + TRANSFER, json=ORDER) as paid,
            session.get(url + BALANCE) as balance,
        ):
            return [paid.status, balance.status]

    assert asyncio.run(main()) == [200, 200]


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_parameters_that_tokend_refuses_are_an_error_before_anything_is_sent(
    running: Running, url: str, adapter: Adapter
) -> None:
    """With the texts per field, as `issue` raises it."""
    with pytest.raises((BadRequestError, ExceptionGroup)) as caught:
        adapter(str(running.socket), [Call(url + BALANCE)], name="wallet", parameters=lambda _: {"currency": "BTC"})
    error = caught.value.exceptions[0] if isinstance(caught.value, ExceptionGroup) else caught.value
    assert isinstance(error, BadRequestError)
    assert "url" in (error.errors or {})


XERVE = "/api/v1/"
CREDIT: dict[str, Any] = {"clientId": "ÜSER 1", "amount": 5}


@pytest.fixture
def client_of_xerve(running: Running) -> str:
    """A user that has a wallet."""
    user = {"clientId": "ÜSER 1", "username": "u", "displayName": "U", "ipAddress": "::1"}
    running.client.issue("login-links", **user)
    return user["clientId"]


def test_xerve_takes_signed_calls_with_httpx(running: Running, url: str, client_of_xerve: str) -> None:
    """A GET with a query and a POST with a body, in a Client and in an AsyncClient."""
    with httpx.Client(auth=HttpxSignature("login-links", client=running.client), trust_env=False) as client:
        assert client.post(f"{url}{XERVE}credit-balance", json=CREDIT).json()["status"] == "success"
        found = client.get(f"{url}{XERVE}get-balance", params={"x": "a b&=", "clientId": client_of_xerve})
        assert found.json()["data"]["currency"] == "USD"

    async def main() -> int:
        auth = HttpxSignature("login-links", client=running.client)
        async with httpx.AsyncClient(auth=auth, trust_env=False) as client:
            return (await client.post(f"{url}{XERVE}credit-balance", json=CREDIT)).status_code

    assert asyncio.run(main()) == 200


def test_xerve_takes_signed_calls_with_requests(running: Running, url: str, client_of_xerve: str) -> None:
    """The signature covers the very bytes that requests sends, spaces included."""
    with requests.Session() as session:
        session.trust_env = False
        session.auth = RequestsSignature("login-links", client=running.client)
        assert session.post(f"{url}{XERVE}credit-balance", json=CREDIT).json()["status"] == "success"
        assert session.get(f"{url}{XERVE}get-balance", params={"clientId": client_of_xerve}).status_code == 200
        with pytest.raises(TypeError, match="a body that streams cannot be signed"):
            session.post(f"{url}{XERVE}credit-balance", data=iter([b"{}"]))


def test_xerve_takes_signed_calls_with_aiohttp(running: Running, url: str, client_of_xerve: str) -> None:
    """A middleware of the session."""

    async def main() -> list[int]:
        auth = AiohttpSignature("login-links", client=running.client)
        async with aiohttp.ClientSession(middlewares=[auth]) as session:
            async with session.post(f"{url}{XERVE}credit-balance", json=CREDIT) as posted:
                first = posted.status
            async with session.get(f"{url}{XERVE}get-balance", params={"clientId": client_of_xerve}) as got:
                return [first, got.status]

    assert asyncio.run(main()) == [200, 200]


def test_a_signature_stays_at_its_origin_and_within_sign_paths(running: Running, url: str) -> None:
    """Nothing is sent otherwise."""
    auth = HttpxSignature("login-links", origins=url, client=running.client)
    with httpx.Client(auth=auth, trust_env=False) as client:
        with pytest.raises(OriginError):
            client.get("https://elsewhere.example/api/v1/get-balance?clientId=1")
        with pytest.raises(DeniedError, match="is not in sign_paths"):
            client.post(f"{url}{XERVE}debit-balance", json=CREDIT)
        with pytest.raises(BadRequestError) as refused:
            client.post(f"{url}{XERVE}credit-balance?x=1", json=CREDIT)
        assert "is not covered" in str(refused.value.errors)
