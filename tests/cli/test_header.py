"""`tokend header`: a line per header."""

import json

from tests.cli.running import Running, lines


def test_header_prints_a_line_per_header(running: Running) -> None:
    """`header` and `get -o header`: the very headers of the answer, one per line."""
    expected = [f"{name}: {value}" for name, value in running.client.get("tt").headers.items()]
    assert len(expected) == 2  # Authorization and x-api-key
    assert lines(running.tokend("header", "tt").out) == expected
    assert lines(running.tokend("get", "tt", "-o", "header").out) == expected


def test_header_prints_json_for_programs(running: Running) -> None:
    """`-o json`: an object of headers; errors as without it."""
    headers = dict(running.client.get("tt").headers)
    done = running.tokend("header", "tt", "-o", "json")
    assert json.loads(done.out) == {"version": 1, "name": "tt", "headers": headers}
    for name, code in (("nosuch", 5), ("wallet", 2), ("refused", 4)):
        done = running.tokend("header", name, "-o", "json")
        assert (done.code, done.out) == (code, "")
