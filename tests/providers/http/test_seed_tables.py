"""Kinds of their own written as tables: the same bytes on the wire, and the same token."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.providers.http.asking import OLD, held, said
from tests.providers.live import attempt, env
from tests.upstream.loopback import Behaviour, Received
from tokend.plugin.settings import ProviderSettings
from tokend.providers.http.kind import Http
from tokend.providers.projectx import ProjectX
from tokend.providers.tt import TT
from tokend.values.tokens import Token

TOKEN = "obviously-fake-access-token"
SECRETS = {"name": env("USERNAME"), "key": env("API_KEY"), "secret": env("API_SECRET")}


def projectx(url: str, **more: Any) -> ProjectX:
    return ProjectX(base_url=url, username=env("USERNAME"), api_key=env("API_KEY"), **more)


def projectx_table(url: str, **more: Any) -> Http:
    return Http.model_validate(
        {
            "secrets": SECRETS,
            "request": {
                "method": "POST",
                "url": f"{url}/api/Auth/loginKey",
                "headers": {"Accept": "text/plain"},
                "json": {"userName": "{name}", "apiKey": "{key}"},
            },
            "answer": {
                "success": "success && (errorCode == `0` || !errorCode)",
                "token": "token",
                "expires_in": "expiresIn",
                "unit": "m",
                "lifetime": "24h",
            },
            **more,
        }
    )


def tt(url: str) -> TT:
    return TT(
        base_url=url, environment="uat", api_key=env("API_KEY"), api_secret=env("API_SECRET"), app_name="App",
        company_name="Company",
    )  # fmt: skip


def tt_table(url: str) -> Http:
    return Http.model_validate(
        {
            "secrets": SECRETS,
            "request": {
                "method": "POST",
                "url": f"{url}/ttid/ext_uat_cert/token?requestId=App-Company--{{uuid}}",
                "headers": {"x-api-key": "{key}"},
                "form": {"grant_type": "user_app", "app_key": "{key}:{secret}"},
            },
            "answer": {"success": "status == 'Ok'", "token": "access_token", "expires_in": "seconds_until_expiry"},
            "headers": {"x-api-key": "{key}"},
        }
    )


def sent(
    make: Callable[[str], ProviderSettings], *script: Behaviour, previous: Token | None = None
) -> tuple[Token, list[Received]]:
    outcome, server = attempt(make, *script, previous=previous)
    assert isinstance(outcome, Token), outcome
    return outcome, server.requests


def on_the_wire(request: Received) -> tuple[str, str, dict[str, str], bytes]:
    """Return a request without what differs from one to the next, and with its headers in no order."""
    target = request.target.partition("--")[0]
    # The kind of Trading Technologies asks for nothing, and so gets anything.
    headers = {name: text for name, text in request.headers.items() if name not in {"host", "accept"}}
    return request.method, target, headers, request.body


PX = said(token=TOKEN, success=True, errorCode=0, errorMessage=None, expiresIn=60)
TT_ANSWER = said(status="Ok", access_token=TOKEN, token_type="bearer", seconds_until_expiry=43200)


@pytest.mark.parametrize(
    ("kind", "table", "behaviour"), [(projectx, projectx_table, PX), (tt, tt_table, TT_ANSWER)], ids=["projectx", "tt"]
)
def test_a_table_sends_what_the_kind_sends(
    kind: Callable[[str], ProviderSettings], table: Callable[[str], ProviderSettings], behaviour: Behaviour
) -> None:
    """Byte for byte; readers get the same headers and the same end."""
    (one, one_sent), (other, other_sent) = sent(kind, behaviour), sent(table, behaviour)
    assert [on_the_wire(request) for request in one_sent] == [on_the_wire(request) for request in other_sent]
    assert (one.value, one.expires_at, one.headers) == (other.value, other.expires_at, other.headers)


def test_a_validation_of_projectx_is_a_renew() -> None:
    """An answer with a new token; one without is no success of the kind, and a table may call it one."""
    validated = said(success=True, errorCode=0, newToken=TOKEN)
    table: dict[str, Any] = {
        "renew": {
            "method": "POST",
            "url": "URL/api/Auth/validate",
            "headers": {"Authorization": "Bearer {token}", "Accept": "text/plain"},
            "token_optional": True,
        },
        "answer": {"success": "success", "token": "newToken || token", "lifetime": "24h"},
    }
    one, one_sent = sent(lambda url: projectx(url, refresh="validate"), validated, previous=held())

    def make(url: str) -> Http:
        renew: dict[str, Any] = {**table["renew"], "url": f"{url}/api/Auth/validate"}
        return projectx_table(url, renew=renew, answer=table["answer"])

    other, other_sent = sent(make, validated, previous=held())
    assert [on_the_wire(request) for request in one_sent] == [on_the_wire(request) for request in other_sent]
    assert one_sent[0].headers["authorization"] == f"Bearer {OLD}"
    assert (one.value, one.expires_at) == (other.value, other.expires_at)
