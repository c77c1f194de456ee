"""Vendors' files: every proof of every file holds, and one with a wrong expectation does not."""

import re
from pathlib import Path

import pytest

from tests.config.written import written
from tests.vendors.player import UnprovenError, play
from tests.vendors.proofs import Proof, proofs, vendors
from tokend.config.vendor_file import Vendor

VENDORS = vendors()
PROOFS = [pytest.param(one, proof, id=f"{one.name}: {proof.name}") for one in VENDORS for proof in proofs(one)]


@pytest.mark.parametrize(("vendor", "proof"), PROOFS)
def test_a_proof_of_a_vendor_s_file_holds(vendor: Vendor, proof: Proof) -> None:
    """The requests are the expected ones, and so is what comes of the answers."""
    play(vendor, proof)


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda one: one.name)
def test_a_vendor_s_file_says_what_it_rests_on(vendor: Vendor) -> None:
    """Its title, the vendor's documentation, when that was read, and at least three proofs, one of them a refusal."""
    settings = vendor.settings
    assert settings.title and settings.docs and settings.checked
    found = proofs(vendor)
    assert len({proof.name for proof in found}) == len(found) >= 3
    assert any(proof.outcome.token for proof in found)
    assert any(proof.outcome.means for proof in found)


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda one: one.name)
def test_secrets_in_proofs_look_fake(vendor: Vendor) -> None:
    """A real one would be published."""
    text = vendor.path.read_text()
    assert not re.search(r"gh[pousr]_[A-Za-z0-9]{36}|ya29\.[A-Za-z0-9_-]{20}|eyJ[A-Za-z0-9_-]{20}", text)


ACME = """\
title = "Acme"
[needs]
client_id = "the id"
[provider]
kind = "oauth2"
grant = "client_credentials"
token_url = "https://login.acme.example/token"
answer = { extra = { shard = "shard" } }
[[proof]]
name = "a token"
does = "fetch"
table = { client_id = "fake-client", client_secret = "fake-secret" }
[[proof.exchange]]
request.url = "https://login.acme.example/token"
request.headers = { Authorization = "*", X-None = "" }
request.form = { grant_type = "client_credentials" }
answer = { json = { access_token = "fake-token", expires_in = 60, shard = "a1" } }
[proof.outcome]
token = "fake-token"
expires_in = 60
extra = { shard = "a1" }
headers = { Authorization = "Bearer fake-token" }
"""
SECOND = '[[proof.exchange]]\nrequest = { url = "https://x.example/" }\nanswer = {}\n'
REFUSAL = (
    ACME.partition("[[proof]]")[0]
    + """\
[[proof]]
name = "a refusal"
does = "fetch"
table = { client_id = "fake-client", client_secret = "fake-secret" }
[[proof.exchange]]
request.url = "https://login.acme.example/token"
request.form = { grant_type = "client_credentials" }
answer = { status = 429, headers = { Retry-After = "7" }, text = "slowly" }
[proof.outcome]
means = "rate_limited"
pause = 7
"""
)


def proof_of(directory: Path, text: str) -> None:
    """Play the proof of an own vendor's file."""
    path = written(directory, text, name="vendors/acme.toml")
    (vendor,) = [one for one in vendors(path.parent) if one.name == "acme"]
    (proof,) = proofs(vendor)
    play(vendor, proof, path.parent)


def test_an_own_file_is_proven_in_the_same_way(tmp_path: Path) -> None:
    """A token and a refusal."""
    proof_of(tmp_path, ACME)
    proof_of(tmp_path, REFUSAL)


@pytest.mark.parametrize(
    ("text", "old", "new", "said"),
    [
        (ACME, "request.url = \"https://login", "request.url = \"https://logon", "url: expected"),
        (ACME, 'example/token"\nrequest.h', 'example/other"\nrequest.h', "url: expected"),
        (ACME, "request.form", 'request.method = "GET"\nrequest.form', "method: expected 'GET', found 'POST'"),
        (ACME, "request.form", 'request.query = { a = "b" }\nrequest.form', "query: expected"),
        (ACME, '"client_credentials" }\na', '"client_credentials", scope = "x" }\na', "form: expected"),
        (ACME, '{ grant_type = "client_credentials" }', "{}", "form: expected"),
        (ACME, "request.form", "request.json", "json: expected"),
        (ACME, "request.form", "#", "text: expected"),
        (ACME, 'Authorization = "*"', 'Authorization = ""', "header Authorization"),
        (ACME, 'X-None = ""', 'X-None = "*"', "header X-None"),
        (ACME, 'token = "fake-token"\nexp', 'token = "other"\nexp', "token: expected 'other', found 'fake-token'"),
        (ACME, "expires_in = 60\n", "expires_in = 61\n", "expires_in: expected 61"),
        (ACME, "expires_in = 60\n", 'expires_in = "never"\n', "expires_in: expected 'never'"),
        (ACME, 'extra = { shard = "a1" }', "extra = {}", "extra: expected"),
        (ACME, '"Bearer fake-token"', '"fake-token"', "headers: expected"),
        (ACME, 'token = "fake-token"\nexpires_in = 60\n', 'means = "rejected"\n', "means: expected 'rejected'"),
        (ACME, "[proof.outcome]\n", '[proof.outcome]\nrefresh_token = "x"\n', "refresh_token: expected 'x'"),
        (ACME, "[proof.outcome]\n", f"{SECOND}[proof.outcome]\n", "not sent: POST https://x.example/"),
        (REFUSAL, "pause = 7", "pause = 8", "pause: expected 8"),
        (REFUSAL, "rate_limited", "rejected", "means: expected 'rejected', found 'rate_limited'"),
    ],
)  # fmt: skip
def test_a_wrong_expectation_fails(tmp_path: Path, text: str, old: str, new: str, said: str) -> None:
    """Each part of a proof counts."""
    changed = text.replace(old, new)
    assert changed != text
    with pytest.raises(UnprovenError, match=re.escape(said)):
        proof_of(tmp_path, changed)


def test_a_request_that_no_proof_expects_is_a_fault(tmp_path: Path) -> None:
    """The vendor would get more than the proof says."""
    text = ACME.partition("[[proof.exchange]]")[0] + '[proof.outcome]\nmeans = "transient"\n'
    with pytest.raises(UnprovenError, match="one request too many"):
        proof_of(tmp_path, text)
