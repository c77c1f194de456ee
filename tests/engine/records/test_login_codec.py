"""The JSON form of logins in a state file."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.engine.records.test_codec import places
from tests.engine.records.test_login_states import LOGIN, NOW, STATES
from tests.engine.records.test_record import START, loaded
from tokend.engine.records.codec import dump, load
from tokend.engine.records.documents import Document
from tokend.engine.records.login_codec import dump_logins, load_logins
from tokend.engine.records.login_record import LoginRecord, SetAside
from tokend.engine.records.login_states import Exchanging, LoginState, Lost, Ready
from tokend.engine.records.record import Record
from tokend.values.errors import StoreError
from tokend.values.secret import Secret

FULL = replace(LOGIN, subject="somebody", scopes=("a", "b"), parameters={"code_verifier": Secret("fake-verifier")})


@pytest.mark.parametrize("state", [*STATES, Ready(FULL)], ids=repr)
def test_a_restart_finds_every_state_again(state: LoginState) -> None:
    """In use and set aside."""
    record = Record(login=LoginRecord(state, "initial", (SetAside(state, NOW, None, logged_out=True),)))
    assert loaded(record) == record


def test_a_record_without_a_login_is_one_that_an_older_version_reads() -> None:
    """Version 1 is the form of 0.1.0; only a login or a document makes version 2."""
    assert orjson.loads(dump("a", Record(), "boot"))["version"] == 1
    assert orjson.loads(dump("a", Record(login=LoginRecord(Ready(LOGIN))), "boot"))["version"] == 2
    with_document = Record(documents=(Document("metadata", {"issuer": "x"}, NOW),))
    assert orjson.loads(dump("a", with_document, "boot"))["version"] == 2
    assert loaded(with_document) == with_document


@pytest.mark.parametrize("wrong", [7.5, True, "x", [], {}])
def test_a_value_of_another_type_is_a_store_error(wrong: Any) -> None:
    """Accepted, it would break what uses it later, at every start again."""
    aside = (SetAside(Ready(FULL), NOW, "initial"),)
    for state in (Exchanging(Lost(FULL, NOW, 1)), Ready(FULL)):
        content = dump("a", Record(login=LoginRecord(state, "initial", aside)), "boot")
        for path in places(orjson.loads(content)["login"]):
            document = place = orjson.loads(content)
            for key in ("login", *path[:-1]):
                place = place[key]
            fits = place[path[-1]] == wrong or type(place[path[-1]]) is type(wrong)
            place[path[-1]] = wrong
            if not fits and not (wrong == [] and path[-1] == "aside"):
                with pytest.raises(StoreError):
                    load(orjson.dumps(document), boot_id="boot", now=START)


@pytest.mark.parametrize(
    "state", [{"is": "exchanging", "before": {"is": "none"}}, {"is": "odd", "login": None}, {"is": "ready"}, None]
)
def test_what_is_no_state_is_refused(state: Any) -> None:
    """Nothing is guessed of a login."""
    with pytest.raises((ValueError, LookupError, TypeError)):
        load_logins({**dump_logins(LoginRecord()), "state": state})
    document = dump_logins(LoginRecord(Ready(LOGIN)))
    document["state"]["is"] = "odd"
    with pytest.raises(ValueError, match="no state"):
        load_logins(document)


def test_a_state_without_a_form_is_a_bug() -> None:
    """A new state needs its members here."""
    with pytest.raises(TypeError, match="LoginState has no form"):
        dump_logins(LoginRecord(LoginState()))
