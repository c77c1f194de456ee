"""`tokend header`: a line per header."""

from tests.cli.running import Running, lines


def test_header_prints_a_line_per_header(running: Running) -> None:
    """`header` and `get -o header`: the very headers of the answer, one per line."""
    expected = [f"{name}: {value}" for name, value in running.client.get("tt").headers.items()]
    assert len(expected) == 2  # Authorization and x-api-key
    assert lines(running.tokend("header", "tt").out) == expected
    assert lines(running.tokend("get", "tt", "-o", "header").out) == expected
