"""Built-in kinds written as tables of kind ``http`` and ``jwt-on-demand``: the same bytes on the wire.

``auth-token`` is in test_on_demand.py, ``request-jwt`` in tests/providers/test_jwt_on_demand.py.
"""

import json
import re
from typing import Any

import anyio

from tests.providers.live import NOW, LiveRuntime, at, attempt, env
from tests.upstream.loopback import Loopback, reply
from tokend.providers.http.kind import Http
from tokend.providers.jwt import Jwt
from tokend.providers.jwt_on_demand import JwtOnDemand
from tokend.providers.projectx import ProjectX
from tokend.providers.tt import TT
from tokend.values.secret import Secret
from tokend.values.tokens import Token

TOKEN = "obviously-fake-access-token"
NEW = "obviously-fake-newer-token"
# What differs from one exchange to the next.
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def on_the_wire(server: Loopback) -> list[Any]:
    """Return all that was sent, without the port of this test and the numbers of requests."""
    return [
        (one.method, _UUID.sub("UUID", one.target), {**one.headers, "host": ""}, one.body) for one in server.requests
    ]


def project_x(url: str) -> ProjectX:
    table = {"base_url": url, "username": env("USERNAME"), "api_key": env("API_KEY"), "refresh": "validate"}
    return ProjectX.model_validate(table)


def project_x_table(url: str) -> Http:
    return Http.model_validate(
        {
            "secrets": {"user": env("USERNAME"), "key": env("API_KEY")},
            "request": {
                "method": "POST", "url": f"{url}/api/Auth/loginKey", "headers": {"Accept": "text/plain"},
                "json": {"userName": "{user}", "apiKey": "{key}"},
            },
            "renew": {
                "method": "POST", "url": f"{url}/api/Auth/validate", "token_optional": True,
                "headers": {"Authorization": "Bearer {token}", "Accept": "text/plain"},
            },
            "answer": {"success": "success && errorCode == `0`", "token": "token || newToken", "lifetime": "24h"},
        }
    )  # fmt: skip


def held() -> Token:
    return Token(Secret(TOKEN), "Bearer", at(NOW - 300), at(NOW + 600), {"Authorization": Secret(f"Bearer {TOKEN}")})


def said(**body: Any) -> bytes:
    return json.dumps({"success": True, "errorCode": 0, **body}).encode()


def test_projectx_logs_in_as_a_table() -> None:
    """The login with user name and key."""
    own, at_own = attempt(project_x, reply(said(token=TOKEN)))
    table, at_table = attempt(project_x_table, reply(said(token=TOKEN)))
    assert isinstance(own, Token)
    assert isinstance(table, Token)
    assert on_the_wire(at_own) == on_the_wire(at_table)
    assert (own.value, own.expires_at, own.headers) == (table.value, table.expires_at, table.headers)


def test_projectx_validates_as_a_table() -> None:
    """A newer token comes, or the held one stays; after a refusal both log in."""
    scripts = ([said(newToken=NEW)], [said()], [said(success=False, errorCode=1), said(token=NEW)])
    for script in scripts:
        answers = [reply(body) for body in script]
        own, at_own = attempt(project_x, *answers, previous=held())
        table, at_table = attempt(project_x_table, *answers, previous=held())
        assert isinstance(own, Token)
        assert isinstance(table, Token)
        assert on_the_wire(at_own) == on_the_wire(at_table)
        assert len(at_own.requests) == len(script)
        assert own.value == table.value


def test_tt_asks_as_a_table() -> None:
    """With a new id in each request, and the key beside the token for readers."""
    tables: dict[str, Any] = {"app_name": "App", "company_name": "Company", "environment": "uat"}
    answer = reply(
        json.dumps({"status": "Ok", "access_token": TOKEN, "token_type": "bearer", "seconds_until_expiry": "43200"})
        .encode()
    )  # fmt: skip
    own, at_own = attempt(
        lambda url: TT.model_validate(
            {"base_url": url, "api_key": env("API_KEY"), "api_secret": env("API_SECRET"), **tables}
        ),
        answer,
    )
    table, at_table = attempt(
        lambda url: Http.model_validate(
            {
                "secrets": {"key": env("API_KEY"), "secret": env("API_SECRET")},
                "request": {
                    "method": "POST", "url": f"{url}/ttid/ext_uat_cert/token",
                    "query": {"requestId": "App-Company--{uuid}"},
                    "headers": {"x-api-key": "{key}", "Accept": "*/*"},
                    "form": {"grant_type": "user_app", "app_key": "{key}:{secret}"},
                },
                "answer": {
                    "success": "status == 'Ok'", "token": "access_token", "expires_in": "seconds_until_expiry",
                },
                "errors": [{"when": "status == 'Fail' || status == 'StatusFail'", "means": "rejected"}],
                "headers": {"x-api-key": "{key}"},
                "min_interval": "10s",
            }
        ),
        answer,
    )  # fmt: skip
    assert isinstance(own, Token)
    assert isinstance(table, Token)
    assert on_the_wire(at_own) == on_the_wire(at_table)
    assert "requestId=App-Company--UUID" in on_the_wire(at_own)[0][1]
    assert (own.value, own.expires_at, dict(own.headers)) == (table.value, table.expires_at, dict(table.headers))


def test_a_partners_jwt_is_the_same_per_query() -> None:
    """The claims of the table, then the times."""
    keys: dict[str, Any] = {"secret": env("CLIENT_SECRET"), "ttl": "15m", "claims": {"clientId": "your-client-id"}}
    own, table = Jwt.model_validate(keys), JwtOnDemand.model_validate(keys)

    async def main() -> tuple[Token, Token]:
        return await own.fetch(LiveRuntime(own), None), await table.issue(LiveRuntime(table), {})

    held_one, issued = anyio.run(main)
    assert held_one.value == issued.value
    assert (held_one.expires_at, held_one.headers) == (issued.expires_at, issued.headers)
