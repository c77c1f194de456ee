"""The JSON form of a record."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.engine.records.test_record import FULL, FULLEST, HELD, START, STATES, TOKEN, loaded
from tests.expecting import present
from tokend.engine.records.codec import dump, load
from tokend.engine.records.record import Record
from tokend.engine.records.token_states import NO_TOKEN, WITHDRAWN, Held, NoToken, Withdrawn
from tokend.values.errors import StoreError
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token, native


@pytest.mark.parametrize("attempts", STATES, ids=lambda state: type(state).__name__)
@pytest.mark.parametrize("token", [NO_TOKEN, WITHDRAWN, HELD], ids=lambda state: type(state).__name__)
def test_a_restart_finds_every_field_again(token: Held | NoToken | Withdrawn, attempts: Any) -> None:
    """Last request time, Retry-After, failures, rejected, jitter: all of it."""
    record = replace(FULL, token=token, attempts=attempts)
    assert loaded(record) == record
    assert loaded(replace(record, host_pause=None)) == replace(record, host_pause=None)


def test_a_record_without_an_end_survives_too() -> None:
    """expires_at and refresh_at may be None."""
    endless = Token(Secret("x"), "Bearer", START, None)
    record = Record(token=Held(Lease("a", endless, 1, None, "f")), generation=1)
    assert loaded(record) == record
    assert present(loaded(record, boot_id="other").lease).token.expires_at is None
    assert native(present(record.lease))["expires_at"] is None
    assert native(present(FULL.lease))["expires_at_unix"] == present(TOKEN.expires_at).wall.timestamp()


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.update(version=3),
        lambda d: d.pop("lease"),
        lambda d: d.update(generation="many"),
        lambda d: d["lease"]["token"].update(issued_at=None),
        lambda d: d["lease"]["token"].update(issued_at=["2026-01-01T00:00:00", 1.0]),
        lambda d: d["lease"]["token"].update(headers=[]),
    ],
)
def test_what_tokend_did_not_write_is_a_store_error_that_quotes_nothing(damage: Callable[..., object]) -> None:
    """docs/promises.md 64: set aside, never a crash loop, and no secret in the message."""
    document = orjson.loads(dump("a", FULL, "boot"))
    damage(document)
    with pytest.raises(StoreError) as refused:
        load(orjson.dumps(document), boot_id="boot", now=START)
    assert "fake" not in str(refused.value)


def places(document: dict[str, Any], path: Any = ()) -> Any:
    """Every value of a document that stands in a place of its own, by the keys that lead there."""
    for key, value in document.items():
        yield (*path, key)
        if isinstance(value, dict) and key != "plain":
            yield from places(value, (*path, key))


@pytest.mark.parametrize("wrong", [7.5, True, "x", [], {}, ["2026-01-01T00:00:00", 1.0]])
def test_a_value_of_another_type_is_a_store_error_too(wrong: Any) -> None:
    """docs/promises.md 64: accepted, it would break what uses it later, at every start again."""
    for path in places(orjson.loads(dump("a", FULLEST, "boot"))):
        document = place = orjson.loads(dump("a", FULLEST, "boot"))
        for key in path[:-1]:
            place = place[key]
        fits = path[-1] in {"plain", "boot_id"} or place[path[-1]] == wrong or type(place[path[-1]]) is type(wrong)
        place[path[-1]] = wrong
        if not fits and not (wrong == {} and path[-1] in {"headers", "extra"}):
            with pytest.raises(StoreError):
                load(orjson.dumps(document), boot_id="boot", now=START)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"version":1}', b'"x"'])
def test_other_content_is_a_store_error(content: bytes) -> None:
    """Whatever a power cut left behind."""
    with pytest.raises(StoreError):
        load(content, boot_id="boot", now=START)
