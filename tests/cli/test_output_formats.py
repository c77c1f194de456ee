"""A token in the form of another program: quoting, names, and what a form cannot carry."""

import json
import netrc
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tokend.cli.output_formats import render, variable
from tokend.client import TokendError

AWKWARD = "a'b\"c\\d$(e)`f` g"


def answer(value: str = "abc.def-ghi_jkl==", **changed: Any) -> dict[str, Any]:
    """A token's answer."""
    headers = {"Authorization": f"Bearer {value}", "x-api-key": "k"}
    return {
        "name": "my-token.v2",
        "access_token": value,
        "expires_at_unix": 1700000000,
        "issued_at": "2023-11-14T21:13:20Z",
        "headers": headers,
        **changed,
    }


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


def test_kubernetes_gets_an_earlier_end() -> None:
    """An ExecCredential that ends half a minute before the token, or never."""
    document = json.loads(render(answer(), "k8s"))
    assert document["kind"] == "ExecCredential"
    assert document["status"] == {"token": "abc.def-ghi_jkl==", "expirationTimestamp": "2023-11-14T22:12:50Z"}
    assert "expirationTimestamp" not in json.loads(render(answer(expires_at_unix=None), "k8s"))["status"]


@pytest.mark.parametrize(("life", "end"), [(31, "22:12:50"), (30, "22:13:05"), (10, "22:13:15"), (1, "22:13:20")])
def test_a_short_life_is_not_over_before_it_began(life: int, end: str) -> None:
    """Tokens that live 30 s or less: half of their life, or kubectl would ask at each single request."""
    issued = f"2023-11-14T22:13:{20 - life:02}Z" if life <= 20 else f"2023-11-14T22:12:{80 - life:02}Z"
    document = json.loads(render(answer(issued_at=issued), "k8s"))
    assert document["status"]["expirationTimestamp"] == f"2023-11-14T{end}Z"


@pytest.mark.parametrize("year", [1970, 1999, 2000, 2023, 2024, 2100, 2399, 2400])
def test_any_moment_of_issue_is_understood(year: int) -> None:
    """Leap years and turns of centuries: the half of a short life ends where Python's calendar says."""
    first = int(datetime(year, 1, 1, 23, 59, 58, tzinfo=UTC).timestamp())
    for issued in range(first, first + 366 * 86400, 86400):
        moment = datetime.fromtimestamp(issued, UTC)
        shown = json.loads(render(answer(issued_at=f"{moment:%Y-%m-%dT%H:%M:%SZ}", expires_at_unix=issued + 4), "k8s"))
        assert datetime.fromisoformat(shown["status"]["expirationTimestamp"]).timestamp() == issued + 2


@pytest.mark.parametrize(
    ("asked", "given"),
    [("client.authentication.k8s.io/v1beta1", "v1beta1"), ("client.authentication.k8s.io/v9", "v1"), (7, "v1")],
)
def test_kubernetes_is_answered_in_the_version_it_asks_for(
    monkeypatch: pytest.MonkeyPatch, asked: object, given: str
) -> None:
    """The kubeconfig's apiVersion, where we know it; another one is refused by kubectl."""
    monkeypatch.setenv("KUBERNETES_EXEC_INFO", json.dumps({"kind": "ExecCredential", "apiVersion": asked}))
    assert json.loads(render(answer(), "k8s"))["apiVersion"] == f"client.authentication.k8s.io/{given}"


def test_git_gets_the_end_of_the_password() -> None:
    """User name, token, expiry; no expiry for a token without end; a line break is refused, not smuggled in."""
    assert render(answer("abc"), "git") == "username=x-access-token\npassword=abc\npassword_expiry_utc=1700000000"
    assert "expiry" not in render(answer(expires_at_unix=None), "git")
    with pytest.raises(TokendError, match="line break"):
        render(answer("a\nhost=evil.example"), "git")


@pytest.mark.parametrize("session", ["SessionToken", "Token"])
def test_a_key_pair_goes_to_aws(session: str) -> None:
    """`credential_process` JSON from a token that is one, or that was made for containers."""
    keys = {"AccessKeyId": "AKIAFAKE", "SecretAccessKey": "fake", session: "fake-session", "Expiration": "ours counts"}
    assert json.loads(render(answer(json.dumps(keys)), "aws")) == {
        "Version": 1, "AccessKeyId": "AKIAFAKE", "SecretAccessKey": "fake", "SessionToken": "fake-session",
        "Expiration": "2023-11-14T22:13:20Z",
    }  # fmt: skip


@pytest.mark.parametrize("value", ["abc", "[]", "{}", '{"AccessKeyId": "a"}', '"AccessKeyId"', "7"])
def test_what_is_no_key_pair_does_not_go_to_aws(value: str) -> None:
    """A sentence that says what would do."""
    with pytest.raises(TokendError, match=r"is no AWS key pair.*AWS_WEB_IDENTITY_TOKEN_FILE"):
        render(answer(value), "aws")


def test_a_jwt_goes_to_google_and_nothing_else_does() -> None:
    """An executable's response; opaque tokens cannot be exchanged."""
    assert json.loads(render(answer("eyJh.eyJz.c2ln"), "gcp")) == {
        "version": 1, "success": True, "token_type": "urn:ietf:params:oauth:token-type:jwt",
        "id_token": "eyJh.eyJz.c2ln", "expiration_time": 1700000000,
    }  # fmt: skip
    assert "expiration_time" not in json.loads(render(answer("a.b.c", expires_at_unix=None), "gcp"))
    for value in ("opaque", "a.b", "a.b.c.d", AWKWARD):
        with pytest.raises(TokendError, match="is no JWT"):
            render(answer(value), "gcp")


@pytest.mark.parametrize(("host", "login"), [("example.com", "x-access-token"), ("me@example.com", "me")])
def test_netrc_is_read_by_pythons_reader(tmp_path: Path, host: str, login: str) -> None:
    """A line for one machine, with the login that was given or the usual one."""
    file = tmp_path / "netrc"
    file.write_text(render(answer("abc.d-e_f=="), "netrc", host=host) + "\n")
    assert netrc.netrc(str(file)).authenticators("example.com") == (login, "", "abc.d-e_f==")


@pytest.mark.parametrize(
    ("value", "host"),
    [("a b", "h"), ("#a", "h"), ('a"', "h"), ("a\\b", "h"), ("a\nmachine evil", "h"), ("a", "h:443"), ("a", "u v@h"),
     ("a", "a\nb"), ("a", ""), ("é", "h")],
)  # fmt: skip
def test_netrc_refuses_what_readers_take_differently(value: str, host: str) -> None:
    """Rather no line than one that means another machine or another password."""
    with pytest.raises(TokendError):
        render(answer(value), "netrc", host=host)


@pytest.mark.parametrize("output", ["curl", "header", "env", "shell", "git", "netrc"])
@pytest.mark.parametrize("control", ["\n", "\r", "\0", "\x1b", "\t", "\x7f", "\x9b", "\u2028", "\ud800"])
def test_a_control_character_in_any_field_is_refused_where_it_could_begin_a_line(output: str, control: str) -> None:
    """A hostile server's newline would be an option of curl, a line of a shell, or another machine."""
    evil = f"fake{control}url = http://evil.example"
    for changed in (
        {"access_token": evil},
        {"name": evil},
        {"token_type": evil},
        {"issued_at": evil},
        {"headers": {"Authorization": evil}},
        {"headers": {evil: "fake"}},
    ):
        with pytest.raises(TokendError) as caught:
            render(answer(**changed), output, host="example.com")
        assert "evil" not in str(caught.value)
        assert control not in str(caught.value)


def test_a_signature_has_headers_and_no_token() -> None:
    """`tokend sign` prints headers; every other form needs a whole answer."""
    signature = {"name": "links", "access_token": "", "headers": {"x-signature": "fake"}}
    assert render(signature, "header") == "x-signature: fake"
    assert render(signature, "curl") == 'header = "x-signature: fake"'
    for output in ("env", "shell", "git", "k8s", "gcp"):
        with pytest.raises(TokendError, match="is it tokend that listens there"):
            render(signature, output)


@pytest.mark.parametrize("name", ["", "a b", "a:b", 'a"b', "a\\b", "é"])
def test_a_header_has_the_name_of_a_header(name: str) -> None:
    """Anything else could be read as more than a name."""
    for output in ("curl", "header"):
        with pytest.raises(TokendError, match="name"):
            render(answer(headers={name: "fake"}), output)


@pytest.mark.parametrize("output", ["raw", "curl", "header", "env", "shell", "git", "netrc", "k8s", "gcp", "aws"])
@pytest.mark.parametrize(
    "changed",
    [{"access_token": 7}, {"access_token": None}, {"headers": ["a"]}, {"headers": {"a": 7}}, {"name": None},
     {"expires_at_unix": "1\nhost=evil.example"}, {"expires_at_unix": True}, {"issued_at": []}],
)  # fmt: skip
def test_an_answer_of_another_shape_is_no_token(output: str, changed: dict[str, Any]) -> None:
    """What listens is not tokend: a sentence, no traceback, and nothing of the answer."""
    with pytest.raises(TokendError, match="is it tokend that listens there") as caught:
        render(answer(**changed), output, host="example.com")
    assert "evil" not in str(caught.value)
