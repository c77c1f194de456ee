"""Requests to a server's endpoints: parameters as a form, as JSON or in the query."""

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias
from urllib.parse import quote_plus

from tokend.plugin.declared.url_template import SecretUrl
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.providers.oauth2.declared_answer import RequestSettings
from tokend.values.secret import Secret

Value: TypeAlias = "str | Secret | Sequence[str]"
"""A parameter. Several values of one name are sent one after another."""


def make_request(
    url: str, parameters: Mapping[str, Value], headers: Mapping[str, str | Secret], settings: RequestSettings
) -> UpstreamRequest:
    """Return a request with these parameters. ``headers`` are those of the client's proof."""
    sent: dict[str, str | Secret] = {"Accept": "application/json"}
    body = b""
    if settings.encoding == "json":
        body = json.dumps({name: _in_json(value) for name, value in parameters.items()}, ensure_ascii=False).encode()
        sent["Content-Type"] = "application/json"
    elif settings.encoding == "form":
        body = encoded(parameters).encode()
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    else:
        url = with_query(url, parameters)
    for name, value in {**settings.headers, **headers}.items():
        replaced = [old for old in sent if old.lower() == name.lower()]
        for old in replaced:
            del sent[old]
        sent[name] = value
    return UpstreamRequest(settings.method, url, sent, body)


def encoded(parameters: Mapping[str, Value]) -> str:
    """Return parameters as ``application/x-www-form-urlencoded``, in clear."""
    pairs = [(name, text) for name, value in parameters.items() for text in _texts(value)]
    return "&".join(f"{quote_plus(name)}={quote_plus(text)}" for name, text in pairs)


def with_query(url: str, parameters: Mapping[str, Value]) -> str:
    """Return a URL with these parameters in its query; a `SecretUrl` if one of them is a secret."""
    if not parameters:
        return url
    whole = f"{url}{'&' if '?' in url else '?'}{encoded(parameters)}"
    return SecretUrl(whole) if any(isinstance(value, Secret) for value in parameters.values()) else whole


def _texts(value: Value) -> list[str]:
    if isinstance(value, Secret):
        return [value.reveal()]
    return [value] if isinstance(value, str) else list(value)


def _in_json(value: Value) -> str | list[str]:
    texts = _texts(value)
    return texts[0] if len(texts) == 1 else texts
