"""The raw file sink."""

from pathlib import Path

from tests.sinks.leases import PLANTED, lease, sink


def test_raw_is_exactly_the_token(tmp_path: Path) -> None:
    """docs/sinks.md: no trailing newline; ``newline = true`` opts in."""
    sink("raw", tmp_path / "raw").write(lease())
    assert (tmp_path / "raw").read_bytes() == PLANTED.encode()
    sink("raw", tmp_path / "raw", newline=True).write(lease())
    assert (tmp_path / "raw").read_bytes() == PLANTED.encode() + b"\n"
