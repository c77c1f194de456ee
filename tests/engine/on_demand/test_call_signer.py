"""Headers that sign a caller's own call: which calls, for whom, how often, and what the log says."""

from collections.abc import Mapping
from typing import Literal

import anyio
import pytest

from tests.fakes import FakeHeld, FakeOnDemand, FakeRuntime, World, literal, provider
from tests.httpd.served import logged
from tests.virtual import VirtualClock, run_virtually
from tokend.plugin.request_signing import CallToSign, SigningSettings
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import (
    DeniedError,
    InvalidParametersError,
    NotSupportedError,
    ThrottledError,
    TokenUnavailableError,
)
from tokend.values.secret import Secret


class Signer(FakeOnDemand, SigningSettings):
    """An on-demand kind that signs calls."""

    local = False
    kind: Literal["fake-signer"] = "fake-signer"  # type: ignore[assignment]  # each kind has a name of its own

    async def sign(self, runtime: FakeRuntime, call: CallToSign) -> Mapping[str, Secret | str]:
        if call.body == b"wrong":
            raise InvalidParametersError({"body": ["is wrong"]})
        secret = "" if self.key is None else (await runtime.reveal(self.key)).reveal()
        return {"x-signature": f"{call.method} {call.path} {secret}"}


BALANCE = CallToSign("GET", "/balance", (("a", "1"),))
ALLOWED = ("GET /balance", "POST /credit")


def test_a_listed_call_is_signed_and_logged_with_uid_method_and_path() -> None:
    """A line a second and call, with a count; neither query nor body nor signature is in the log."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("o", Signer(key=literal("fake"), sign_paths=ALLOWED))) as supervisor:
            with logged() as lines:
                for _ in range(3):
                    headers = await supervisor.sign("o", BALANCE, uid=7)
                await supervisor.sign("o", CallToSign("POST", "/credit"), uid=7)
                await anyio.sleep(2)
            assert headers == {"x-signature": "GET /balance fake"}
            found = [
                (line["uid"], line["method"], line["path"], line["count"], line["token"])
                for line in lines
                if line["event"] == "token.signed"
            ]
            assert sorted(found) == [
                (7, "GET", "/balance", 1, "o"), (7, "GET", "/balance", 2, "o"), (7, "POST", "/credit", 1, "o"),
            ]  # fmt: skip
            assert world.upstreams["one"].calls == []

    run_virtually(main)


def test_calls_that_are_not_listed_and_kinds_that_do_not_sign_are_refused() -> None:
    """405 where nothing can be signed at all, 403 for another call."""

    async def main(clock: VirtualClock) -> None:
        configured = (
            provider("o", Signer(sign_paths=ALLOWED)),
            provider("none", Signer()),
            provider("other", FakeOnDemand()),
            provider("held", FakeHeld()),
        )
        async with World(clock).running(*configured) as supervisor:
            for name in ("none", "other", "held"):
                with pytest.raises(NotSupportedError):
                    await supervisor.sign(name, BALANCE, uid=0)
            for call in (CallToSign("POST", "/balance"), CallToSign("GET", "/balance/x"), CallToSign("GET", "/")):
                with pytest.raises(DeniedError, match="is not in sign_paths of the provider"):
                    await supervisor.sign("o", call, uid=0)

    run_virtually(main)


def test_signing_counts_in_issue_rate_together_with_issues() -> None:
    """Each signature is worth a call at the vendor."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        configured = Signer(sign_paths=ALLOWED, issue_rate=1, issue_burst=3)
        async with world.running(provider("o", configured)) as supervisor:
            await supervisor.issue("o", {}, uid=7)
            for _ in range(2):
                await supervisor.sign("o", BALANCE, uid=7)
            with pytest.raises(ThrottledError):
                await supervisor.sign("o", BALANCE, uid=7)
            await supervisor.sign("o", BALANCE, uid=8)

    run_virtually(main)


def test_a_wrong_call_and_a_secret_that_cannot_be_read_are_errors_of_their_own() -> None:
    """The first is the caller's, the second the operator's."""

    async def main(clock: VirtualClock) -> None:
        configured = Signer(key=SecretSource(env="ABSENT"), sign_paths=ALLOWED)
        async with World(clock).running(provider("o", configured)) as supervisor:
            with logged() as lines:
                with pytest.raises(InvalidParametersError):
                    await supervisor.sign("o", CallToSign("POST", "/credit", (), b"wrong"), uid=7)
                with pytest.raises(TokenUnavailableError, match="ABSENT"):
                    await supervisor.sign("o", BALANCE, uid=7)
            assert [line["reason"] for line in lines if line["event"] == "token.issue_failed"] == ["config"]

    run_virtually(main)
