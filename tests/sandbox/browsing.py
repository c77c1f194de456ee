"""A person with a browser at the sandbox's OAuth 2 server: consent, devices, and what a client does beside it."""

import base64
import hashlib
import re
from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.sandbox.player import Answer, Player

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CLIENT = "sandbox-oauth2-client"
SECRET = "sandbox-oauth2-secret"
APP = "sandbox-oauth2-app"
VERIFIER = "fake-code-verifier-of-forty-three-characters"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REDIRECT = "http://127.0.0.1:7/callback"
TOKEN = "/oauth2/token"


def basic(client: str = CLIENT, secret: str = SECRET) -> dict[str, str]:
    """The header of a client with a secret."""
    return {"Authorization": "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()}


def post(player: Player, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
    """Send a form."""
    return player.call("POST", path, urlencode(fields).encode(), headers={**FORM, **headers})


def ask(player: Player, grant_type: str, *, client: str = CLIENT, **fields: str) -> Answer:
    """Ask for a token: with the secret, or as the client without one."""
    headers = basic() if client == CLIENT else {}
    own = {} if client == CLIENT else {"client_id": client}
    return post(player, TOKEN, {"grant_type": grant_type, **own, **fields}, **headers)


def refresh(player: Player, token: str, **more: str) -> Answer:
    return ask(player, "refresh_token", refresh_token=token, **more)


def authorize_url(**changed: str | None) -> str:
    """The path to which the client without a secret sends a browser; None removes a parameter."""
    fields: dict[str, str | None] = {
        "response_type": "code", "client_id": APP, "redirect_uri": REDIRECT, "state": "fake-state",
        "code_challenge": CHALLENGE, "code_challenge_method": "S256", **changed,
    }  # fmt: skip
    given = {name: value for name, value in fields.items() if value is not None}
    return f"/oauth2/authorize?{urlencode(given)}"


def authorize(player: Player, **changed: str | None) -> Answer:
    """Open the consent page."""
    return player.call("GET", authorize_url(**changed))


def decide(player: Player, shown: Answer, decision: str = "allow", **changed: Any) -> Answer:
    """Send the form of a page as a browser does, all boxes checked; ``changed`` replaces fields."""
    assert shown.status == 200, shown
    text = shown.body.decode()
    action = re.search(r'<form method="post" action="([^"]+)"', text)
    assert action is not None, text
    fields: dict[str, Any] = {}
    for name, value in re.findall(r'<input[^>]* name="([^"]+)" value="([^"]*)"', text):
        fields.setdefault(unescape(name), []).append(unescape(value))
    fields |= {"decision": [decision], **changed}
    return player.call("POST", unescape(action[1]), urlencode(fields, doseq=True).encode(), headers=FORM)


def sent_back(answer: Answer) -> dict[str, str]:
    """The parameters with which the browser was sent back to the client."""
    assert answer.status == 303, answer
    target = urlsplit(answer.headers["location"])
    assert f"{target.scheme}://{target.netloc}{target.path}" == REDIRECT
    return dict(parse_qsl(target.query))


def code_of(player: Player, **changed: str | None) -> str:
    """A code that a person has allowed."""
    return sent_back(decide(player, authorize(player, **changed)))["code"]


def redeem(player: Player, code: str, **changed: str) -> Answer:
    """Exchange a code."""
    fields = {"code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER, **changed}
    return ask(player, "authorization_code", client=fields.pop("client", APP), **fields)


def works(player: Player, token: str) -> bool:
    """Whether the protected resource accepts an access token."""
    return player.call("GET", "/oauth2/api", headers={"Authorization": f"Bearer {token}"}).status == 200
