"""Keys of kind ``http``: what their values must be, and what a changed one means."""

from tests.providers.http.asking import faults_of, settings
from tokend.engine.records.fingerprints import request_fingerprint


def digest(raw: bytes) -> str:
    return raw.hex()


def test_secrets_are_those_of_the_table() -> None:
    """With their keys, as messages and the watch of files need them."""
    assert [*settings().secrets()] == ["secrets.key", "secrets.secret"]
    made = settings(secrets={"key": "a-literal-secret"})
    assert "secrets.key" in made.secrets()
    assert "a-literal-secret" not in repr(made)


def test_an_unknown_name_is_an_error_at_its_key() -> None:
    """With the known ones."""
    found = faults_of(request={"headers": {"X-Key": "{kee}"}})
    assert list(found) == ["request.headers.X-Key"]
    assert 'did you mean "key"?' in found["request.headers.X-Key"]
    assert "secrets.not-a-name.[key]" in faults_of(secrets={"not-a-name": {"env": "X"}})


def test_each_part_of_the_request_is_part_of_its_fingerprint() -> None:
    """A changed body asks for another token, although no repr shows it."""
    prints = {
        request_fingerprint(settings(request=request), digest)
        for request in ({}, {"json": {"key": "{key}", "a": 1}}, {"query": {"a": "b"}}, {"headers": {"X-A": "b"}})
    }
    assert len(prints) == 4
    assert request_fingerprint(settings(), digest) == request_fingerprint(settings(), digest)


def test_all_that_asks_one_host_shares_its_pauses() -> None:
    """Whatever the path."""
    assert settings("https://Api.example").upstream == "api.example:443"
