"""Replies of an API server, and what follows each."""

from typing import Any

import pytest

from tests.sinks.played_server import Answer
from tests.sinks.stores.played_kubernetes import status
from tokend.machine.clock import SystemClock
from tokend.plugin.http_exchange import UpstreamReply
from tokend.sinks.stores.kube.statuses import is_absent, reason_of, refuse, refuse_other_manager, secret_in
from tokend.values.errors import SinkConflictError, SinkError, SinkFinalError, SinkRejectedError, SinkUnavailableError


def reply(answer: Answer, headers: dict[str, str] | None = None) -> UpstreamReply:
    body = answer.whole().partition(b"\r\n\r\n")[2]
    return UpstreamReply(answer.status, headers or {}, body, SystemClock().instant(), None, 0.0)


def conflict(*messages: Any) -> UpstreamReply:
    causes = [{"reason": "FieldManagerConflict", "message": one, "field": ".data.token"} for one in messages]
    return reply(status(409, "Conflict", "Apply failed", causes))


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (status(401, "Unauthorized"), SinkRejectedError, "the credential has expired"),
        (status(403, "Forbidden", "planted-fake"), SinkRejectedError, "lacks the verb patch"),
        (status(404, "NotFound"), SinkError, "no such namespace"),
        (status(413, "RequestEntityTooLarge"), SinkFinalError, "too large"),
        (
            status(422, "Invalid", "", [{"message": "field is immutable when `immutable` is set"}]),
            SinkFinalError,
            "immutable",
        ),
        (status(422, "Invalid", "", [{"message": "planted-fake"}]), SinkFinalError, "does not take these values"),
        (status(429, "TooManyRequests"), SinkUnavailableError, "too many requests"),
        (status(503, "ServiceUnavailable"), SinkUnavailableError, "503"),
        (status(504, "Timeout"), SinkError, "504 (Timeout)"),
        (status(500, "planted-fake"), SinkError, "500"),
        (status(415, "UnsupportedMediaType"), SinkError, "415 (UnsupportedMediaType)"),
        (Answer(307), SinkError, "redirects are refused"),
    ],
)
def test_each_status_has_its_meaning(answer: Answer, kind: type[SinkError], said: str) -> None:
    """Known reasons are shown; a message of the server never is."""
    with pytest.raises(SinkError) as refused:
        refuse(reply(answer), "k8s:team/app#token", "patch")
    assert type(refused.value) is kind
    assert said in refused.value.detail
    assert "planted" not in refused.value.detail


def test_a_conflict_names_the_other_managers() -> None:
    """At most three, once each; what looks like a secret or is no name is not shown."""
    one, two = 'conflict with "kubectl-edit" using v1', 'conflict with "argocd controller" using v1 at 10:00'
    with pytest.raises(SinkConflictError, match="kubectl-edit, argocd controller owns what this sink writes"):
        refuse_other_manager(conflict(one, two, one), "k8s:team/app#token")
    for odd in (
        'conflict with "ghp_0123456789abcdefABCDEF0123456789abcd"',
        'conflict with "a\x1b[2J"',
        "planted-fake",
        5,
    ):
        with pytest.raises(SinkConflictError) as refused:
            refuse_other_manager(conflict(odd), "k8s:team/app#token")
        assert not {"ghp_", "\x1b", "planted"} & set(refused.value.detail.split())
        assert "ghp_" not in refused.value.detail
        assert refused.value.detail.isprintable()


def test_a_409_without_owners_is_none_of_a_manager() -> None:
    """The object has changed since it was read: the sink reads it again."""
    changed = reply(status(409, "Conflict", "the object has been modified"))
    refuse_other_manager(changed, "k8s:team/app#token")
    assert reason_of(changed) == "Conflict"
    assert reason_of(reply(Answer(409, b"<html>"))) is None


@pytest.mark.parametrize(
    ("answer", "absent"),
    [
        (status(404, "NotFound"), True),
        (Answer(404), True),
        (Answer(404, b"<html>not here</html>"), False),
        (Answer(404, {"error": "of a proxy"}), False),
        (status(410, "Gone"), False),
    ],
)
def test_only_the_servers_own_404_says_that_there_is_no_secret(answer: Answer, absent: bool) -> None:
    """A proxy's page does not."""
    assert is_absent(reply(answer)) is absent


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", {"kind": "Pod", "metadata": {"resourceVersion": "1"}}, {"kind": "Secret"},
        {"kind": "Secret", "metadata": {"resourceVersion": 1}},
        {"kind": "Secret", "metadata": {"resourceVersion": "\n"}},
    ],
)  # fmt: skip
def test_what_is_no_secret_is_refused(body: Any) -> None:
    """Also where the status says success."""
    with pytest.raises(SinkError, match="is it an API server"):
        secret_in(reply(Answer(200, body)), "k8s:team/app#token")
