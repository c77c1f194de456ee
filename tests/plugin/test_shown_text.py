"""Text that may be shown: words that look like secrets are hidden, names are not."""

import random
import string

import pytest

from tokend.plugin.shown_text import NOT_SHOWN, looks_secret, shown

RANDOM = random.Random(11)


@pytest.mark.parametrize(
    "secret",
    [
        "ghp_obviouslyfake",
        "github_pat_11OBVIOUSLYFAKE",
        "glpat-obviously-fake",
        "sk-Obviously+Fake/Secret",
        "xoxb-1-obviously-fake",
        "hvs.obviously-fake",
        "eyJhbGciOiJIUzI1NiJ9.e30.obviously-fake",
        "AKIAOBVIOUSLYFAKE000",
        "0123456789abcdef0123456789abcdef",
        "".join(RANDOM.choices(string.ascii_letters + string.digits, k=40)),
        "".join(RANDOM.choices(string.ascii_letters + string.digits + "-_", k=43)),
        "".join(RANDOM.choices(string.ascii_lowercase + string.digits, k=32)),
    ],
)
def test_what_looks_like_a_secret_is_hidden_wherever_it_stands(secret: str) -> None:
    """In a target, in a message, in quotes; the rest of the text stays."""
    assert looks_secret(secret)
    assert shown(secret) == NOT_SHOWN
    assert shown(f"github:owner/app#{secret}") == f"github:owner/app#{NOT_SHOWN}"
    assert shown(f"k8s:ns/{secret}: the store answered 404") == f"k8s:ns/{NOT_SHOWN}: the store answered 404"
    assert shown(f"vault:secret/{secret}#token") == f"vault:secret/{NOT_SHOWN}#token"
    assert secret not in shown(f'the key "{secret}" is not there')


@pytest.mark.parametrize(
    "name",
    [
        "vault:secret/app#token",
        "k8s:trading/partner-token#JWT_TOKEN",
        "railway:0b9d9a3e-6a3b-4a8f-9a3f-1c2d3e4f5a6b/1b9d9a3e-6a3b-4a8f-9a3f-1c2d3e4f5a6b/JWT_TOKEN",
        "aws-secretsmanager:eu-central-1/prod/PartnerApiTokenV2",
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf",
        "partner-prod-v2-eu-west-1-api-token-3",
        "tokend.PARTNER_TOKEN_V2_EU_WEST_1",
        "redis:master.my-redis.abc123.use1.cache.amazonaws.com:6379/app:token",
        "keyring:tokend/alice@example.com",
        "projectInternationalization2024Production",
        "the store answered 403 (permission denied): the credential is not accepted, or may not do this",
        "A" * 64,
        "task-force",
        "",
    ],
)
def test_names_are_shown(name: str) -> None:
    """The operator has to correct them."""
    assert not looks_secret(name)
    assert shown(name) == name


@pytest.mark.parametrize("alphabet", [string.ascii_letters + string.digits, string.hexdigits.lower()[:16]])
def test_almost_every_random_word_of_usual_length_is_hidden(alphabet: str) -> None:
    """A rule about words cannot find all of them."""
    words = ["".join(RANDOM.choices(alphabet, k=40)) for _ in range(500)]
    assert sum(map(looks_secret, words)) > 490
