"""A token in the form of another program: quoting, names, and what a form cannot carry."""

import json
import subprocess
from typing import Any

import pytest

from tokend.cli.forms import render, variable
from tokend.client import TokendError

AWKWARD = "a'b\"c\\d$(e)`f` g"


def answer(value: str = "abc.def-ghi_jkl==", **changed: Any) -> dict[str, Any]:
    """A token's answer."""
    headers = {"Authorization": f"Bearer {value}", "x-api-key": "k"}
    return {"name": "my-token.v2", "access_token": value, "expires_at_unix": 1700000000, "headers": headers, **changed}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("tt", "TT_TOKEN"), ("my-token.v2", "MY_TOKEN_V2_TOKEN"), ("a_b", "A_B_TOKEN"), ("7up", "_7UP_TOKEN")],
)
def test_a_variable_is_the_name_in_capitals(name: str, expected: str) -> None:
    """Upper-cased, other characters `_`, and never a digit first: no shell would take it."""
    assert variable(name) == expected


@pytest.mark.parametrize("value", ["abc", "a.b_c-d~e+f/g=", "p@ss%,^", "k:v"])
def test_env_carries_what_every_reader_takes_alike(value: str) -> None:
    """Unquoted safe characters: every JWT and every RFC 6750 token."""
    assert render(answer(value), "env") == f"MY_TOKEN_V2_TOKEN={value}"


@pytest.mark.parametrize("value", [AWKWARD, "=abc", "~abc", "a:~b", "a=~b", "a:=b", "a b", "a#b", "a\nb", "é"])
def test_env_refuses_what_readers_take_differently(value: str) -> None:
    """Rather no line than one that two programs read as two tokens; the token is not in the message."""
    with pytest.raises(TokendError, match="use -o shell or -o raw") as caught:
        render(answer(value), "env")
    assert value not in str(caught.value)


def test_shell_carries_any_token() -> None:
    """What `sh` evaluates is the token, byte by byte."""
    script = render(answer(AWKWARD), "shell") + '\nprintf %s "$MY_TOKEN_V2_TOKEN"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == AWKWARD


def test_curl_configuration_is_escaped() -> None:
    """Backslashes and quotes as curl's config files want them."""
    assert render(answer('a"b\\c', headers={"X": 'a"b\\c'}), "curl") == 'header = "X: a\\"b\\\\c"'


def test_kubernetes_is_told_an_earlier_end() -> None:
    """An ExecCredential that ends half a minute before the token, or never."""
    document = json.loads(render(answer(), "k8s"))
    assert document["kind"] == "ExecCredential"
    assert document["status"] == {"token": "abc.def-ghi_jkl==", "expirationTimestamp": "2023-11-14T22:12:50Z"}
    assert "expirationTimestamp" not in json.loads(render(answer(expires_at_unix=None), "k8s"))["status"]
