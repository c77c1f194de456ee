"""Formats of tokens that programs print and files hold: what is taken, and what is refused."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.plugin.token_texts import AWS, FORMATS, ISO, SOURCE, exec_credential, found, jwt, oauth, part, token
from tests.providers.live import NOW, at
from tokend.plugin.found_token import Source
from tokend.plugin.token_formats import Format, find_token
from tokend.values.errors import TransientError
from tokend.values.secret import Secret


@pytest.mark.parametrize(
    ("printed", "value"),
    [("fake-token", "fake-token"), ("fake-token\n", "fake-token"), ("fake-token\r\n", "fake-token"), ("a b", "a b")],
)
def test_a_raw_token_is_the_text_without_one_newline(printed: str, value: str) -> None:
    """As with secrets. Without a JWT's own end and without a lifetime it has no end."""
    made = token(printed, "raw")
    assert (made.value.reveal(), made.expires_at, made.token_type) == (value, None, "Bearer")
    assert made.headers["Authorization"].reveal() == f"Bearer {value}"


def test_a_raw_token_ends_as_its_jwt_says_else_after_the_lifetime() -> None:
    """The lifetime is for tokens that say nothing: it prolongs none and shortens none."""
    for lifetime in (None, timedelta(minutes=1), timedelta(days=1)):
        assert token(jwt(exp=NOW + 600), "raw", lifetime=lifetime).expires_at == at(NOW + 600)
        assert token(oauth(expires_in=600), lifetime=lifetime).expires_at == at(NOW + 600)
    made = token("fake-token", "raw", age=100, lifetime=timedelta(minutes=10))
    assert (made.issued_at, made.expires_at) == (at(NOW - 100), at(NOW + 500))


@pytest.mark.parametrize(
    "printed",
    [
        "", "\n", "  ", "fake\n\n", "fake\nmore", " fake", "fake ", "f\x1b[31make", "fäke", "fake\0", "\ufefffake",
        part(alg="HS256"), f"{part(alg='HS256')}.", jwt(exp=NOW + 9)[:-9], jwt(exp=NOW + 9)[:-6],
        f"{part(alg='dir', enc='A128GCM')}..aaaa.bbbb", f"{part(alg='dir', enc='A128GCM')}..aaaa.bbbb.",
    ],
)  # fmt: skip
def test_a_raw_text_that_is_no_token_is_refused(printed: str) -> None:
    """Of a JWT that is being written, what is there already looks like a token."""
    with pytest.raises(TransientError, match="command mint printed") as refused:
        found(printed, "raw")
    assert not printed.strip() or printed not in refused.value.detail


def test_what_only_resembles_a_jwt_is_taken() -> None:
    """A token is opaque, unless it says itself that it is a JWT. An unsecured JWT has no signature."""
    for text in (
        "eyJ-fake",
        f"{part(typ='JWT')}.x",
        "a.b",
        f"{part(alg='none')}.{part(exp=NOW + 9)}.",
        f"{part(alg='dir', enc='A128GCM')}..aaaa.bbbb.cccc",
    ):
        assert token(text, "raw").value.reveal() == text


def test_the_native_format_is_what_tokend_itself_writes() -> None:
    """`tokend get -o json` on another machine has the headers, too."""
    shape = {
        "version": 1, "name": "x", "access_token": "fake-token", "token_type": "bearer", "issued_at": "…",
        "expires_at": ISO, "expires_at_unix": NOW + 1800, "refresh_at": None, "generation": 7, "fingerprint": "f" * 12,
    }  # fmt: skip
    made = token(shape, "native")
    assert (made.value.reveal(), made.token_type, made.expires_at) == ("fake-token", "Bearer", at(NOW + 1800))
    assert made.headers["Authorization"].reveal() == "Bearer fake-token"
    headers = {"x-api-key": "fake-key", "Authorization": "Bearer fake-token"}
    made = token({**shape, "expires_at": None, "expires_at_unix": None, "headers": headers}, "native")
    assert made.expires_at is None
    assert {name: value.reveal() for name, value in made.headers.items()} == headers
    for wrong in ({"version": 2}, {"headers": {"a b": "x"}}, {"headers": {"a": 1}}, {"headers": {"a": "b\nc"}}):
        with pytest.raises(TransientError, match="command mint printed"):
            found({**shape, **wrong}, "native")


@pytest.mark.parametrize(
    ("more", "end"),
    [
        ({"expires_in": 600}, 500),
        ({"expires_in": "600"}, 500),
        ({"expires_in": None}, None),
        ({"expires_on": str(NOW + 300)}, 300),
        ({"expires_in": 3600, "expires_at": NOW + 300.5}, 300.5),
        ({"expires_in": 200, "expires_at": ISO}, 100),
        ({}, None),
    ],
)
def test_the_seconds_of_an_oauth_answer_count_from_the_start_and_times_are_times(
    more: dict[str, Any], end: float | None
) -> None:
    """The earliest end counts. The start is the program's, or that of the file's last writing."""
    made = token(oauth(**more), age=100)
    assert made.expires_at == (None if end is None else at(NOW + end))


def test_the_other_members_of_an_oauth_answer_are_not_kept() -> None:
    """A refresh token belongs to the program that refreshes."""
    planted = "planted-fake-refresh"
    made = token(oauth(refresh_token=planted, id_token="fake-id", scope="a b", token_type="BEARER"))
    assert planted not in repr(made)
    assert (dict(made.extra), made.renewal, made.token_type) == ({}, None, "Bearer")
    assert token(oauth(token_type="DPoP")).headers["Authorization"].reveal() == "DPoP fake-token"
    assert not token(oauth(token_type="N_A")).headers


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_an_exec_credential_brings_its_certificate_as_secrets(version: str) -> None:
    """Both versions of the API that plugins print."""
    said = exec_credential(
        version,
        token="fake-token",
        expirationTimestamp=ISO,
        clientCertificateData="FAKE CERT",
        clientKeyData="FAKE KEY",
    )
    made = token(said, "exec-credential")
    assert (made.value.reveal(), made.expires_at) == ("fake-token", at(NOW + 1800))
    assert made.extra == {"clientCertificateData": Secret("FAKE CERT"), "clientKeyData": Secret("FAKE KEY")}
    assert token(exec_credential(token="fake-token"), "exec-credential").expires_at is None


def test_the_token_of_a_credential_process_is_its_json() -> None:
    """`get -o aws` and ``?format=aws`` read the keys from it, and so does a store's ``auth``. No header carries it."""
    made = token({**AWS, "Expiration": ISO, "AccountId": "1"}, "aws")
    assert json.loads(made.value.reveal()) == {**AWS, "Expiration": ISO}
    assert {name: value for name, value in made.extra.items()} == {  # noqa: C416  (a Mapping compares as a dict)
        name: Secret(value) for name, value in AWS.items() if isinstance(value, str)
    }
    assert (made.expires_at, dict(made.headers)) == (at(NOW + 1800), {})
    lasting = {key: AWS[key] for key in ("Version", "AccessKeyId", "SecretAccessKey")}
    made = token(lasting, "aws")
    assert (json.loads(made.value.reveal()), made.expires_at) == (lasting, None)


BROKEN: list[tuple[Format, Any]] = [
    *((form, text) for form in FORMATS if form != "raw" for text in (
        "", "fake-token", "[]", '"x"', "null", "{", '{"access_token": "a", "access_token": "b"}', '{"x": NaN}',
        "<html>", "\ufeff{}", "{}", "[" * 100 + "]" * 100,
    )),
    ("oauth", oauth(access_token=7)), ("oauth", oauth(access_token="")), ("oauth", oauth(access_token="a\nb")),
    ("oauth", oauth(token_type=1)), ("oauth", oauth(token_type="Bearer x")), ("oauth", {"error": "invalid_grant"}),
    ("native", {"access_token": None}),
    ("exec-credential", {**exec_credential(token="x"), "kind": "Other"}),
    ("exec-credential", exec_credential("v2", token="x")), ("exec-credential", exec_credential()),
    ("exec-credential", exec_credential(clientCertificateData="x", clientKeyData="y")),
    ("exec-credential", exec_credential(token="x", clientKeyData=1)),
    ("exec-credential", {**exec_credential(), "status": None}),
    ("aws", {**AWS, "Version": 2}), ("aws", {**AWS, "Version": "1"}), ("aws", {**AWS, "AccessKeyId": ""}),
    ("aws", {**AWS, "SecretAccessKey": None}), ("aws", {**AWS, "SessionToken": 5}),
    ("aws", {**AWS, "SessionToken": "a b"}),
]  # fmt: skip


@pytest.mark.parametrize(("form", "said"), BROKEN)
def test_a_text_of_another_shape_is_refused_and_not_quoted(form: Format, said: Any) -> None:
    """The operator learns what is wrong with which program."""
    with pytest.raises(TransientError) as refused:
        found(said, form)
    assert refused.value.detail.startswith("command mint printed ")
    assert "answered" not in refused.value.detail
    assert "fake" not in refused.value.detail


def test_a_selected_value_is_read_as_a_text_is() -> None:
    """A string for `raw`, an object for the others."""
    assert find_token("fake-token", "raw", SOURCE).value.reveal() == "fake-token"
    with pytest.raises(TransientError, match='printed what is no string: format = "oauth"'):
        find_token({"access_token": "fake"}, "raw", SOURCE)
    with pytest.raises(TransientError, match="JSON that is not an object"):
        find_token("fake-token", "oauth", SOURCE)


def test_a_file_holds_what_a_program_prints() -> None:
    """The verb is the source's."""
    file = Source("file /run/fake", "holds")
    for said in ("", "{", "{}", "[]"):
        with pytest.raises(TransientError, match=r"file /run/fake holds (no token|something|JSON)"):
            found(said, source=file)
    with pytest.raises(TransientError, match="file /run/fake holds a life of more than 400 days"):
        found(oauth(expires_in=1e12), source=file).token(now=at(NOW), counted_from=at(NOW))
