"""Statuses of Vault, and what follows each."""

import pytest

from tests.sinks.leases import PLANTED
from tests.sinks.played_server import Answer, Asked
from tests.sinks.played_store import Row, Stage, content_of
from tests.sinks.stores.played_vault import PlayedVault
from tests.sinks.stores.vaults import run, sent
from tokend.sinks.stores.vault import VaultSink
from tokend.sinks.stores.vault_kv.calls import can_be_written_back
from tokend.values.errors import SinkError, SinkFinalError, SinkRejectedError, SinkUnavailableError


class Refusing(PlayedVault):
    """A server that answers one thing to every write of data, and to lookup-self."""

    write, lookup = Answer(500), Answer(200, {"data": {}})

    def answer(self, asked: Asked) -> Answer:
        if asked.path.endswith("lookup-self"):
            return self.lookup
        return self.write if asked.method in {"PATCH", "POST"} else super().answer(asked)


@pytest.mark.parametrize(
    ("status", "errors", "kind", "said"),
    [
        (503, ["Vault is sealed"], SinkUnavailableError, "503 (it is sealed)"),
        (472, [], SinkUnavailableError, "472: it is a standby"),
        (473, [], SinkUnavailableError, "473: it is a standby"),
        (429, [], SinkUnavailableError, "too many requests"),
        (413, ["http: request body too large"], SinkFinalError, "too large"),
        (400, ["check-and-set parameter required for this call"], SinkError, "must allow read on the metadata"),
        (400, [PLANTED], SinkError, "answered 400"),
        (405, ["1 error occurred:\n\t* unsupported operation\n\n"], SinkRejectedError, 'update = "whole"'),
        (404, ['no handler for route "secret/data/app"'], SinkError, "(no engine is mounted there)"),
        (307, [], SinkError, "redirects are refused"),
        (500, PLANTED, SinkError, "answered 500"),
    ],
)
def test_each_status_has_its_meaning(status: int, errors: object, kind: type[SinkError], said: str) -> None:
    """Known phrases are shown in our words; the body is never quoted."""

    async def main(stage: Stage) -> None:
        stage.store.write = Answer(status, {"errors": errors})
        with pytest.raises(SinkError) as refused:
            await stage.sink.put(stage.runtime, await content_of(stage), None)
        assert type(refused.value) is kind
        assert said in refused.value.detail
        assert refused.value.detail.startswith("vault:secret/app#token: ")
        assert "planted" not in refused.value.detail

    run(main, Row(VaultSink, Refusing))


@pytest.mark.parametrize(
    ("lookup", "kind", "said"),
    [
        (Answer(200, {"data": {}}), SinkRejectedError, "lacks the capability patch on secret/data/app"),
        (Answer(403, {"errors": ["permission denied"]}), SinkRejectedError, "the credential has expired"),
        (Answer(503), SinkUnavailableError, "503"),
    ],
)
def test_a_refusal_is_about_the_credential_or_the_policy(lookup: Answer, kind: type[SinkError], said: str) -> None:
    """`lookup-self` decides: every credential may ask about itself."""

    async def main(stage: Stage) -> None:
        stage.store.write = Answer(403, {"errors": ["permission denied"]})
        stage.store.lookup = lookup
        with pytest.raises(SinkError) as refused:
            await stage.sink.put(stage.runtime, await content_of(stage), None)
        assert type(refused.value) is kind
        assert said in refused.value.detail
        assert sent(stage)[-1] == "GET token/lookup-self"

    run(main, Row(VaultSink, Refusing))


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"a": 2.50, "b": [1e3, -0.1, 12345678901234567890123456789, true, null, "\xc3\xa9"]}', True),
        (b'{"a": 0.1000000000000000055511151231257827021181583404541015625}', False),
        (b'{"a": 1.00000000000000000001}', False),
        (b'{"a": 1e-99999999999999999999}', False),
    ],
)
def test_numbers_must_survive_a_rewrite(body: bytes, kept: bool) -> None:
    """What belongs to others is written back as it is, or not at all."""
    assert can_be_written_back(body) is kept
