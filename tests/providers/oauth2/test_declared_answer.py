"""Tables ``answer``, ``errors`` and ``request``: what is refused."""

from typing import Any

import pytest

from tests.providers.oauth2.asking import faults_of


@pytest.mark.parametrize(
    ("keys", "where", "why"),
    [
        ({"answer": {"token": "data.["}}, "answer.token", "not JMESPath"),
        ({"answer": {"extra": {"a b": "x"}}}, "answer.extra.a b.[key]", "a name is letters"),
        ({"answer": {"extra": {"a": "x"}, "secret_extra": {"a": "y"}}}, "answer", "a value is a secret, or it is not"),
        ({"answer": {"tokn": "x"}}, "answer.tokn", "Extra inputs"),
        ({"errors": [{"means": "rejected"}]}, "errors.0", "a row of errors has a condition"),
        ({"errors": [{"text": "x" * 201, "means": "rejected"}]}, "errors.0.text", "at most 200 bytes; found 201"),
        ({"errors": [{"status": 400, "means": "rejected", "pause": "1s"}]}, "errors.0", "pause goes with"),
        ({"errors": [{"status": 400, "means": "lost"}]}, "errors.0.means", "Input should be"),
        ({"request": {"headers": {"Host": "x"}}}, "request.headers", "Host is set by tokend itself"),
        ({"request": {"headers": {"A": "x", "a": "y"}}}, "request.headers", "stands here twice"),
        ({"request": {"method": "GET"}}, "request", "a GET has no body"),
    ],
)
def test_a_table_that_cannot_work_is_refused(keys: dict[str, Any], where: str, why: str) -> None:
    """With the path of its key."""
    found = faults_of(**keys)
    assert list(found) == [where]
    assert why in found[where]
