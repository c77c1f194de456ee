"""Signed calls of AWS: what each error code means for the next attempt, and a clock that is wrong."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.sinks import played_store
from tests.sinks.played_server import Answer, Asked
from tests.sinks.played_store import Row, Stage
from tests.sinks.stores.played_aws import PlayedSsm, refusal
from tokend.plugin.aws.calls import AccessDeniedError, AwsCalls, AwsError
from tokend.sinks.stores.aws_ssm import AwsSsmSink
from tokend.values.errors import SinkError, SinkRejectedError, SinkUnavailableError

ROW = Row(AwsSsmSink, PlayedSsm, {"parameter": "/app/token"})


run = partial(played_store.run, ROW)


async def call(stage: Stage) -> dict[str, Any]:
    return await AwsCalls(stage.runtime, stage.sink).call(
        "GetParameter", {"Name": "/app/other", "WithDecryption": True}
    )


def answering(answer: Answer) -> Callable[[Asked], Answer]:
    return lambda asked: answer


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (refusal("UnrecognizedClientException"), SinkRejectedError, "(UnrecognizedClientException): the credential is"),
        (refusal("ExpiredTokenException"), SinkRejectedError, "is not accepted"),
        (refusal("InvalidSignatureException", 403), SinkRejectedError, "is not accepted"),
        (refusal("AccessDeniedException"), AccessDeniedError, "needs the permission ssm:GetParameter"),
        (Answer(403, b"planted"), SinkRejectedError, "failed with 403: the credential is not accepted"),
        (refusal("ThrottlingException"), SinkUnavailableError, "(ThrottlingException): too many requests"),
        (refusal("TooManyRequestsException", 429), SinkUnavailableError, "too many requests"),
        (Answer(429, b"planted"), SinkUnavailableError, "failed with 429: too many requests"),
        (Answer(503, {"__type": "ServiceUnavailableException"}), SinkUnavailableError, "not available"),
        (refusal("LimitExceededException"), AwsError, "the quota of versions is full: set min_interval"),
        (refusal("DecryptionFailure"), AwsError, "(DecryptionFailure): the KMS key cannot be used"),
        (refusal("PlantedException"), AwsError, "GetParameter failed with 400"),
        (Answer(500, b"planted"), AwsError, "GetParameter failed with 500"),
        (Answer(307, None, {"Location": "https://planted.example"}), SinkError, "redirects are refused"),
        (Answer(200, b"planted"), SinkError, "answered with something that is not acceptable JSON"),
    ],
)  # fmt: skip
def test_an_error_is_raised_by_what_happens_next(answer: Answer, error: type[SinkError], said: str) -> None:
    """A code of the lists is shown, any other word of the service is not."""

    async def main(stage: Stage) -> None:
        stage.store.answer = stage.store.server._answer = answering(answer)
        with pytest.raises(error) as refused:
            await call(stage)
        assert said in refused.value.detail
        assert "lanted" not in refused.value.detail
        assert refused.value.detail.startswith(f"{stage.sink.target}: GetParameter ")

    run(main)


@pytest.mark.parametrize(
    "said", ["ParameterNotFound", "com.amazonaws.ssm#ParameterNotFound", "x#ParameterNotFound:http://planted"]
)
def test_a_code_is_found_in_each_of_its_forms(said: str) -> None:
    """In the body with or without a name space, in XML, and in the header that some endpoints send instead."""

    async def main(stage: Stage) -> None:
        xml = f"<ErrorResponse><Error><Code>{said}</Code><Message>planted</Message></Error></ErrorResponse>".encode()
        for answer in (Answer(400, {"__type": said}), Answer(400, b"", {"x-amzn-ErrorType": said}), Answer(400, xml)):
            stage.store.server._answer = answering(answer)
            with pytest.raises(AwsError) as refused:
                await call(stage)
            assert refused.value.code == "ParameterNotFound"

    run(main)


def test_a_clock_that_is_wrong_is_learned_from_the_refusal() -> None:
    """The first signature is refused, with the service's time; the next attempt is signed by that time."""

    async def main(stage: Stage) -> None:
        stage.store.ahead_seconds = 1800.0
        with pytest.raises(SinkError) as refused:
            await call(stage)
        assert not isinstance(refused.value, SinkRejectedError)
        assert "its clock differs from ours by 1800 s" in refused.value.detail
        assert (await call(stage))["Parameter"]["Value"] == "somebody else's"

    run(main)


class CountingRuntime:
    """A runtime that counts the secrets that are read."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self.revealed = 0

    async def reveal(self, source: Any) -> Any:
        self.revealed += 1
        return await self._runtime.reveal(source)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)


def test_credentials_are_read_once_for_all_calls_of_an_operation() -> None:
    """And again for the next one."""

    async def main(stage: Stage) -> None:
        runtime: Any = CountingRuntime(stage.runtime)
        for operation in (1, 2):
            calls = AwsCalls(runtime, stage.sink)
            for _ in range(3):
                await calls.call("GetParameter", {"Name": "/app/other"})
            assert runtime.revealed == 2 * operation

    run(main)
