"""Findings: all errors are reported at once, in the order of the file."""

from pathlib import Path

from tests.config.written import refused, written

MANY = """\
includes = ["x"]
[daemon]
socket_mode = "660"
log_level = "inf"
max_connections = "12"
[providers.topstepx]
kind = "projectx"
username = { env = "KEY" }
api_kye = { env = "KEY" }
timeout = 30
[[providers.topstepx.sinks]]
kind = "rwa"
path = "/tmp/x"
[[providers.topstepx.sinks]]
kind = "json"
path = "/tmp/x"
mode = "888"
[providers.Foo]
kind = "jwt"
[providers.partner]
kind = "jwt"
secret = { env = "NOT_SET" }
ttl = "15"
[providers.other]
kind = "jtw"
[[providers.other.sinks]]
kind = "raw"
"""


def test_every_error_is_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """A wrong table does not hide errors of its sinks and secrets, nor errors of the next provider."""
    path = written(tmp_path, MANY)
    places = [(p.line, p.column) for p in refused(path)]
    assert places == [
        (1, 1), (3, 1), (4, 1), (5, 1), (9, 1), (10, 1), (12, 1), (17, 1), (18, 1), (18, 1),
        (22, 1), (23, 1), (25, 1), (26, 1),
    ]  # fmt: skip
    assert {p.file for p in refused(path)} == {str(path)}
