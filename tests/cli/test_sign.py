"""`tokend sign`: the headers of one call, which the vendor accepts."""

import json
import re
import subprocess

import pytest

from tests.cli.running import Running, lines
from tests.cli.test_issue import USER

BALANCE = "/api/v1/get-balance?clientId=CLIENT_001"


def base_url(running: Running) -> str:
    """Return the sandbox's address, from the configuration."""
    found = re.search(r'base_url = "(http://127\.0\.0\.1:\d+)"', running.config.read_text())
    assert found is not None
    return found[1]


def test_a_call_that_was_signed_is_accepted_by_the_vendor(running: Running) -> None:
    """A GET with its query, and a POST with its body from a file and from standard input, by curl."""
    assert running.tokend("issue", "login-links", *USER).code == 0
    url = base_url(running)

    def curl(*arguments: str, config: str) -> dict[str, object]:
        argv = ["curl", "-sS", "-K", "-", *arguments]
        done = subprocess.run(argv, input=config.encode(), capture_output=True, check=True, timeout=20)
        answer: dict[str, object] = json.loads(done.stdout)
        return answer

    signed = running.tokend("sign", "login-links", "GET", BALANCE, "-o", "curl")
    assert (signed.code, signed.err) == (0, "")
    assert curl(url + BALANCE, config=signed.out)["status"] == "success"
    body = running.directory / "credit.json"
    body.write_text('{"clientId":"CLIENT_001", "amount":5}\n')
    path = "/api/v1/credit-balance"
    for data in (body.read_text(), f"@{body}"):
        signed = running.tokend("sign", "login-links", "post", path, "--data", data, "-o", "curl")
        answer = curl(url + path, "--data-binary", f"@{body}", config=signed.out)
        assert answer["message"] == "Balance credited successfully"


def test_the_headers_are_printed_in_two_more_forms(running: Running) -> None:
    """A line per header, and JSON."""
    done = running.tokend("sign", "login-links", "GET", BALANCE)
    assert [line.partition(": ")[0] for line in lines(done.out)] == ["x-timestamp", "x-signature"]
    answer = json.loads(running.tokend("sign", "login-links", "GET", BALANCE, "-o", "json").out)
    assert (answer["version"], set(answer["headers"])) == (1, {"x-timestamp", "x-signature"})


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("login-links", "POST", "/api/v1/debit-balance"), 6, "is not in sign_paths of the provider"),
        (("login-links", "GET", "/api/v1/get-balance/../debit-balance"), 2, "the path has //, /./ or /../"),
        (("login-links", "GET", BALANCE, "--data", "{}"), 2, "body: is not covered by the signature of a GET"),
        (("login-links", "GET", BALANCE, "--data", "@/nosuch"), 2, "/nosuch: No such file"),
        (("wallet", "GET", "/x"), 2, "kind request-jwt signs no calls"),
        (("tt", "GET", "/x"), 2, "kind tt signs no calls"),
        (("nosuch", "GET", "/x"), 5, "nosuch"),
    ],
)
def test_what_is_not_signed_is_refused_by_the_usual_exit_code(
    running: Running, arguments: tuple[str, ...], code: int, text: str
) -> None:
    """2 usage, 5 unknown, 6 denied; nothing on stdout."""
    done = running.tokend("sign", *arguments)
    assert (done.code, done.out) == (code, "")
    assert text in done.err
