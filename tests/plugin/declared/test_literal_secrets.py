"""Texts of a request that look like secrets."""

from typing import Any

import pytest

from tokend.plugin.declared.literal_secrets import literal_secrets
from tokend.plugin.declared.request import RequestSettings


def places(**keys: Any) -> list[str]:
    table = {"method": "POST", "url": "https://api.example/x", **keys}
    return [*literal_secrets(RequestSettings.model_validate(table), "request")]


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"headers": {"X-Api-Key": "planted"}}, ["request.headers.X-Api-Key"]),
        ({"headers": {"X-Api-Key": "{key}", "Accept": "text/plain"}}, []),
        ({"headers": {"Cookie": "a=b"}}, ["request.headers.Cookie"]),
        ({"json": {"a": [{"b": "ghp_obviouslyFakeObviouslyFake0123"}]}}, ["request.json.a.0.b"]),
        ({"form": {"grant": "password", "k": "Bearer {key}"}}, []),
        ({"url": "https://api.example/hooks/ghp_obviouslyFakeObviouslyFake0123"}, ["request.url"]),
        ({"text": "plain words"}, []),
        ({"headers": {"X-aws-ec2-metadata-token-ttl-seconds": "21600", "X-Token-Type": "none"}}, []),
        ({"json": {"password": "hunter2", "user": "bob", "a": {"api_secret": "abcd"}, "passwd": ["hunter2"]}},
         ["request.json.password", "request.json.a.api_secret", "request.json.passwd.0"]),
        ({"json": {"password": "12345"}, "query": {"accessToken": "abcd"}},
         ["request.query.accessToken", "request.json.password"]),
        ({"form": {"client_secret": "abcd", "apiKey": "abcd"}}, ["request.form.client_secret", "request.form.apiKey"]),
        ({"form": {"password": "{p}", "secret": "x-{s}", "token": "", "with_token": "true", "x_token": "60"}}, []),
        ({"json": {"grant_type": "password", "token_type": "access", "password_policy": "strong", "password": ""}}, []),
        ({"text": "user=bob&password=hunter2"}, ["request.text"]),
        ({"text": '{{"user": "bob", "password": "hunter2"}}'}, ["request.text"]),
        ({"text": "<user>bob</user><password>hunter2</password>"}, ["request.text"]),
        ({"text": "user=bob&password={p}&grant_type=password&x=y"}, []),
        ({"text": '{{"password": "{p}"}}'}, []),
        ({"text": "<a:password>{p}</a:password>\n<b>c</b>"}, []),
    ],
)  # fmt: skip
def test_a_text_that_looks_like_a_secret_is_named_by_its_place(keys: dict[str, Any], found: list[str]) -> None:
    """A header or a member of a credential needs a placeholder; elsewhere the text must look like one."""
    assert places(**keys) == found
