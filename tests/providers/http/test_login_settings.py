"""The table ``login``."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.providers.http.logging_in import LOGIN
from tokend.providers.http.login_settings import LoginSettings


@pytest.mark.parametrize(
    ("keys", "returns"),
    [
        ({}, True),
        ({"url": "https://vendor.example/connect/{state}"}, True),
        ({"url": "https://vendor.example/", "redirect_uri": "https://app.example/{state}"}, True),
        ({"url": "https://vendor.example/", "redirect_uri": "https://app.example/?state={state}"}, True),
        ({"url": "https://vendor.example/", "redirect_uri": "https://app.example/"}, False),
        ({"url": "https://vendor.example/?back={redirect_uri}", "redirect_uri": None}, False),
    ],
)
def test_the_state_comes_back_where_it_stands_in_the_url_or_in_the_redirect(keys: Any, returns: bool) -> None:
    """Else a person has to bring the address, and confirm the account."""
    assert LoginSettings.model_validate({**LOGIN, **keys}).returns_state is returns


@pytest.mark.parametrize("callback", [[], ["state"], ["redirect_uri"], ["a b"], [""], ["{x}"], "code", None, [1]])
def test_a_parameter_of_the_callback_has_a_name_that_is_not_ours(callback: Any) -> None:
    """At least one: else the browser brings nothing."""
    with pytest.raises(ValidationError):
        LoginSettings.model_validate({**LOGIN, "callback": callback})
