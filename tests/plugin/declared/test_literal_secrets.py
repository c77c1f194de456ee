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
    ],
)
def test_a_text_that_looks_like_a_secret_is_named_by_its_place(keys: dict[str, Any], found: list[str]) -> None:
    """A header of a credential needs a placeholder; elsewhere the text must look like one."""
    assert places(**keys) == found
