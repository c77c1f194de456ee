"""A parameter of AWS: how it is written, its sizes, a credential that may only write."""

from dataclasses import replace
from typing import Any

import pytest

from tests.plugin.aws.test_calls import run
from tests.sinks.leases import PLANTED, lease
from tests.sinks.played_store import Stage
from tests.sinks.stores.played_aws import refusal
from tokend.values.errors import SinkError, SinkFinalError


def test_it_is_a_secure_string_that_is_overwritten() -> None:
    """The whole request, and the version of the answer."""

    async def main(stage: Stage) -> None:
        content = await stage.sink.content(stage.runtime, lease(), {})
        assert (await stage.sink.put(stage.runtime, content, None)).version == "1"
        assert (await stage.sink.put(stage.runtime, content, None)).version == "2"
        [asked, _] = stage.store.server.requests
        assert asked.json == {
            "Name": "/app/token",
            "Value": PLANTED,
            "Type": "SecureString",
            "Overwrite": True,
            "Tier": "Standard",
            "KeyId": "alias/tokens",
        }
        assert stage.sink.target == "aws-ssm:eu-west-1:/app/token"

    run(main, kms_key_id="alias/tokens")


@pytest.mark.parametrize(
    ("size", "tier", "said"),
    [
        (4096, "standard", None),
        (4097, "standard", 'the value has 4097 bytes, the parameter takes 4096: set tier = "advanced" for 8 KiB'),
        (8192, "advanced", None),
        (8193, "advanced", "the value has 8193 bytes, the parameter takes 8192"),
    ],
)
def test_a_value_that_is_too_large_is_final_and_not_sent(size: int, tier: str, said: str | None) -> None:
    """Bytes count: a token of other characters has more of them."""

    async def main(stage: Stage) -> None:
        content = await stage.sink.content(stage.runtime, lease("ü" * (size // 2) + "x" * (size % 2)), {})
        if said is None:
            await stage.sink.put(stage.runtime, content, None)
            assert stage.store.parameters["/app/token"]["Tier"] == tier.title()
            return
        with pytest.raises(SinkFinalError) as refused:
            await stage.sink.put(stage.runtime, content, None)
        assert refused.value.detail == f"{stage.sink.target}: {said}"
        assert stage.store.asked == 0

    run(main, tier=tier)


def test_a_credential_that_may_not_read_still_writes() -> None:
    """The narrowest one: inspect knows nothing then, which is no error."""

    async def main(stage: Stage) -> None:
        stage.store.denied = {"GetParameter"}
        content = await stage.sink.content(stage.runtime, lease(), {})
        assert await stage.sink.inspect(stage.runtime) is None
        assert (await stage.sink.put(stage.runtime, content, None)).digest is not None

    run(main)


@pytest.mark.parametrize("answer", [{}, {"Parameter": []}, {"Parameter": {"Value": 7, "Version": 1}},
                                    {"Parameter": {"Value": "x", "Version": True}}])  # fmt: skip
def test_an_answer_without_the_value_is_no_value(answer: dict[str, Any]) -> None:
    """Neither a mark nor a crash."""

    async def main(stage: Stage) -> None:
        found = replace(refusal(""), status=200, body=answer)
        stage.store.server._answer = lambda asked: found
        content = await stage.sink.content(stage.runtime, lease(), {})
        for call in (stage.sink.inspect(stage.runtime), stage.sink.put(stage.runtime, content, None)):
            with pytest.raises(SinkError):
                await call

    run(main)
