"""The signature of vendor kraken-ws, against a vector of its scheme. A proof cannot have it: its nonce is of 2021."""

import base64
from datetime import UTC, datetime
from pathlib import Path

from tests.config.written import loaded, refused, written
from tests.plugin.declared.signing_tables import filled
from tokend.plugin.declared.built_in_names import Moment
from tokend.providers.http.kind import Http
from tokend.values.secret import Secret

SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
SIGNATURE = "+mRDmY9Ks0Moc1zjv/BjfvYa98buO0x1yHChZR5onlfAzAUbfIYlLggUZzdQ0RsmXm4Sh+Q8iAIZdo2wSeHeiA=="
TABLE = '[providers.ws]\nvendor = "kraken-ws"\n'


def test_the_signature_is_that_of_the_vector(tmp_path: Path) -> None:
    """The HMAC of the path and of the raw hash of nonce and body; the key is decoded."""
    written(tmp_path, SECRET, name="secret")
    table = f'{TABLE}secrets = {{ key = "fake-key", secret = {{ file = "./secret" }} }}\n'
    settings = loaded(written(tmp_path, table)).providers["ws"].settings
    assert isinstance(settings, Http)
    assert settings.secrets()["secrets.secret"].encoding == "base64"
    given = {"key": Secret("fake-key"), "secret": Secret(base64.b64decode(SECRET))}
    moment = Moment(datetime(2026, 11, 30, tzinfo=UTC), {"counter_ms": 1616492376594})
    made = filled(settings.request, settings.values, given, moment)
    assert made.body == b"nonce=1616492376594"
    signature = made.headers["API-Sign"]
    assert isinstance(signature, Secret)
    assert signature.reveal() == SIGNATURE


def test_a_literal_secret_is_decoded_as_well(tmp_path: Path) -> None:
    """A text replaces the vendor's table, and keeps its encoding; what is missing is named."""
    table = f'{TABLE}secrets = {{ key = "fake-key", secret = "{SECRET}" }}\n'
    source = loaded(written(tmp_path, table)).providers["ws"].settings.secrets()["secrets.secret"]
    assert (source.encoding, source.literal) == ("base64", Secret(SECRET))
    messages = [error.message for error in refused(written(tmp_path, TABLE))]
    assert [one.partition(" is missing")[0] for one in messages] == ["key", "secret"]
