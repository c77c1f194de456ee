"""Kind ``vault``: its settings, what it remembers, and its removal. `vault_kv` has the two engines."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes import literal
from tests.sinks.leases import PLANTED
from tests.sinks.played_store import Row, Stage, content_of
from tests.sinks.stores.vaults import VERSION_1, VERSION_2, run, sent
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.vault_settings import VaultSettings
from tokend.sinks.stores.vault import VaultSink
from tokend.values.errors import SinkConflictError, SinkRejectedError
from tokend.values.secret import Secret

KEYS: dict[str, Any] = {"kind": "vault", "address": "https://vault.example.com:8200", "path": "app/production"}


def made(**keys: Any) -> VaultSink:
    return VaultSink.model_validate({**KEYS, **keys}, context={"directory": "/nowhere"})


def test_the_target_names_mount_path_and_key() -> None:
    """Without slashes at the ends; several keys in their order."""
    assert made().target == "vault:secret/app/production#token"
    assert made(mount="/kv/team/", path="/a/", field="JWT").target == "vault:kv/team/a#JWT"
    assert made(values={"B": "x", "A": "y"}).target == "vault:secret/app/production#A,B"
    assert made().upstream == "vault.example.com:8200"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"address": "http://vault.example.com"}, "https"),
        ({"address": "https://me:pass@vault.example.com"}, "no user"),
        ({"path": ""}, "write names"),
        ({"path": "a//b"}, "write names"),
        ({"path": "a/../b"}, "write names"),
        ({"path": "a\nb"}, "write names"),
        ({"mount": "."}, "write names"),
        ({"namespace": "é"}, "ASCII"),
        ({"namespace": "a\r\nX-Other: b"}, "write names"),
        ({"field": ""}, "at least 1"),
        ({"field": "a", "values": {"b": "c"}}, "either field"),
        ({"kv_version": 3}, "1 or 2"),
        ({"kv_version": 1}, 'update = "whole"'),
        ({"kv_version": 1, "update": "whole", "field": "ttl"}, "another key"),
        ({"update": "patch"}, "whole"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys: dict[str, Any], said: str) -> None:
    """A store without a patch is never guessed; names cannot leave their place."""
    with pytest.raises(ValidationError) as refused:
        made(**keys)
    assert said in str(refused.value)


def test_two_sinks_may_share_a_secret_by_keys() -> None:
    """Not the same key, and not a secret that is ours alone or has no compare-and-set."""
    one, other = made(field="a"), made(field="b")
    assert not one.exclusive_targets() & other.exclusive_targets()
    assert one.exclusive_targets() & made(values={"a": "x", "c": "y"}).exclusive_targets()
    assert not one.exclusive_targets() & made(field="a", namespace="team").exclusive_targets()
    assert not one.exclusive_targets() & made(field="a", address="https://other.example").exclusive_targets()
    alone = made(field="c", exclusive=True).exclusive_targets()
    assert alone == made(kv_version=1, update="whole").exclusive_targets()
    assert all("\0" not in one for one in alone)


def test_the_credential_and_the_namespace_have_headers_of_their_own() -> None:
    """X-Vault-Token and X-Vault-Namespace; the path is quoted."""

    async def main(stage: Stage) -> None:
        assert await stage.sink.inspect(stage.runtime) is not None
        [asked] = stage.store.server.requests
        assert asked.headers["x-vault-token"] == stage.store.credential
        assert asked.headers["x-vault-namespace"] == "team/a"
        assert asked.headers["x-vault-request"] == "true"
        assert asked.path == "/v1/secret/data/app"

    run(main, namespace="team/a")


def test_a_value_that_is_no_text_is_none_of_ours() -> None:
    """A number where our text should be differs from each text, also from one that looks the same."""

    async def main(stage: Stage) -> None:
        stage.store.secret.versions.append({"token": 12})
        found = await stage.sink.inspect(stage.runtime)
        assert found.digest is not None
        assert found.digest != stage.runtime.mark((await content_of(stage, "12")).values).digest

    run(main)


def test_one_of_several_keys_that_is_missing_is_a_difference() -> None:
    """The mark of what is left is not that of all."""

    async def main(stage: Stage) -> None:
        mark = await stage.sink.put(stage.runtime, await content_of(stage), None)
        stage.store.secret.versions.append({"JWT": PLANTED})
        found = await stage.sink.inspect(stage.runtime)
        assert found.digest not in {None, mark.digest}

    run(main, values={"JWT": "{{ access_token }}", "USER": "{{ name }}"})


def test_version_1_says_that_the_last_writer_wins() -> None:
    """In the mark's remark, for the status; there are no versions."""

    async def main(stage: Stage) -> None:
        mark = await stage.sink.put(stage.runtime, await content_of(stage), None)
        assert (mark.version, mark.remark) == (None, "last writer wins: KV version 1 has no compare-and-set")

    run(main, VERSION_1)


def test_a_policy_that_forbids_to_read_makes_the_store_unreadable() -> None:
    """`lookup-self` has shown that the credential itself is good."""

    async def main(stage: Stage) -> None:
        stage.store.denied.add(f"GET {'' if stage.sink.kv_version == 1 else 'data/'}")
        assert await stage.sink.inspect(stage.runtime) is None
        assert sent(stage)[-1] == "GET token/lookup-self"

    run(main)
    run(main, VERSION_1)


def test_a_removal_that_was_cut_off_is_made_again() -> None:
    """The older versions are not yet destroyed: `inspect` says nothing, so that the engine removes again."""

    async def main(stage: Stage) -> None:
        stage.store.secret.versions[:] = [{}]
        await stage.sink.put(stage.runtime, await content_of(stage), None)
        stage.store.denied.add("POST destroy/")
        with pytest.raises(Exception, match="capability update on secret/destroy/app"):
            await stage.sink.remove(stage.runtime, None)
        assert await stage.sink.inspect(stage.runtime) is None
        stage.store.denied.clear()
        gone = await stage.sink.remove(stage.runtime, None)
        assert gone.remark is None
        assert PLANTED not in repr((stage.store.secret.versions, stage.store.secret.deleted))
        found = await stage.sink.inspect(stage.runtime)
        assert found is not None
        assert found.digest is None

    run(main, exclusive=True)


def test_a_conflict_is_of_its_own_class() -> None:
    """The engine then waits for an admin."""

    async def main(stage: Stage) -> None:
        stage.store.secret.custom = {"tokend-writer": "e" * 32}
        with pytest.raises(SinkConflictError, match=r"^vault:secret/app#token: another tokend \(eeeeeeee\)"):
            await stage.sink.put(stage.runtime, await content_of(stage), None)

    run(main)


class Borrowing:
    """The runtime of a stage whose credential is another provider's token: the first of ``tokens``."""

    def __init__(self, stage: Stage, *tokens: str) -> None:
        self._runtime = stage.runtime
        self.tokens = [*tokens]
        self.reported = 0

    async def exchange(self, request: UpstreamRequest, *, auth: SecretSource | None = None) -> UpstreamReply:
        assert auth == SecretSource(token="login")
        return await self._runtime.exchange(request, auth=literal(self.tokens[0]))

    async def renewed(self, auth: SecretSource) -> bool:
        self.reported += 1
        del self.tokens[:-1]
        return self.tokens[0] != "fake-ended"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)


@pytest.mark.parametrize("version", [VERSION_2, VERSION_1])
def test_a_token_of_a_login_that_has_ended_is_reported_and_the_newer_one_used(version: Row) -> None:
    """The server answers 403 for both; only an ended token is the login's to replace."""

    async def main(stage: Stage) -> None:
        sink = stage.sink.model_copy(update={"auth": SecretSource(token="login")})
        good = stage.store.credential
        runtime: Any = Borrowing(stage, "fake-ended", good)
        mark = await sink.put(runtime, await content_of(stage), None)
        assert mark.digest == stage.runtime.mark(Secret(PLANTED)).digest
        assert runtime.reported == 1
        runtime = Borrowing(stage, "fake-ended")
        with pytest.raises(SinkRejectedError, match="has expired, was revoked"):
            await sink.put(runtime, await content_of(stage), None)
        assert runtime.reported >= 1
        stage.store.denied.add(f"GET {'' if version is VERSION_1 else 'data/'}")
        runtime = Borrowing(stage, good)
        assert await sink.inspect(runtime) is None
        assert runtime.reported == 0, "a missing right is no matter of the login"

    run(main, version)


def test_a_later_end_of_the_token_is_written_where_the_store_has_one() -> None:
    """Version 1 has a ttl; version 2 has none."""
    assert made(kv_version=1, update="whole").writes_end
    assert not made().writes_end


def test_a_vault_of_the_configuration_stands_instead_of_a_server() -> None:
    """All that its table says; another place for one of its keys is an error."""
    keys = {"kind": "vault", "vault": "bao", "path": "app", "update": "whole"}
    table = VaultSettings.model_validate(
        {"address": "https://a.example", "auth": literal("fake"), "namespace": "team", "kv_version": 1}
    )
    context = {"directory": "/nowhere", "vaults": {"bao": table, "faulty": None}}
    sink = VaultSink.model_validate(keys, context=context)
    assert (sink.vault, sink.address, sink.auth) == ("bao", "https://a.example", literal("fake"))
    assert (sink.namespace, sink.kv_version, sink.proxy) == ("team", 1, None)
    for wrong, why in (
        ({"vault": "boa"}, 'did you mean "bao"'),
        ({"kv_version": 2}, "vault names a table that says kv_version: remove it here"),
        ({"vault": 5}, r"write the name of a table of the vaults"),
    ):
        with pytest.raises(ValidationError, match=why):
            VaultSink.model_validate({**keys, **wrong}, context=context)
    # The fault of its table is reported there, and once.
    assert VaultSink.model_validate({**keys, "vault": "faulty"}, context=context).vault == "faulty"
    with pytest.raises(ValidationError, match="write address and auth"):
        VaultSink.model_validate(keys, context={"directory": "/nowhere"})
