"""The log's lines, by the real configuration, in a real process."""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
from tokend.machine import logs
logs.configure(level=sys.argv[1], form=sys.argv[2])
log = logs.get_logger()
log.debug("debug.event")
log.info("token.refreshed", token="tt", detail='two "words"\\n and = more\\x1b[31m', nothing=None)
log.warning("sink.failed", token="tt")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("worker.crashed", token="tt")
"""


def lines(level: str, form: str, **environ: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, level, form],
        capture_output=True, text=True, check=True, timeout=30, env={"PATH": os.environ["PATH"], **environ},
    )  # fmt: skip
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_logfmt_has_one_line_per_event_with_stable_names() -> None:
    """timestamp, level, event, token first; awkward values quoted, nothing that drives a terminal."""
    first = lines("info", "logfmt")[0]
    assert 'level=info event=token.refreshed token=tt detail="two \\"words\\"\\n and = more\\x1b[31m"' in first
    assert first.startswith("timestamp=20")
    assert "nothing" not in first


def test_under_the_journal_every_line_has_its_priority() -> None:
    """<N> counts per line: a traceback needs it on each."""
    found = lines("debug", "auto", JOURNAL_STREAM="1:2")
    assert found[0].startswith("<7>")
    assert found[1].startswith("<6>level=info")
    assert found[2].startswith("<4>")
    assert found[3].startswith("<3>")


def test_json_is_one_object_per_line() -> None:
    """On request."""
    assert [json.loads(line)["event"] for line in lines("warning", "json")] == ["sink.failed", "worker.crashed"]


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_is_the_least_shown(level: str, count: int) -> None:
    """log_level."""
    assert len([line for line in lines(level, "json") if line]) == count


def test_a_log_that_nobody_reads_never_blocks() -> None:
    """docs/promises.md 63: full or closed, lines are dropped and counted."""
    script = (
        "import os, sys\nfrom tokend.machine import logs\n"
        "logs.configure(level='info', form='logfmt')\nlog = logs.get_logger()\n"
        "for n in range(3000):\n    log.info('token.refreshed', number=n)\n"
        "print(logs.Descriptor.dropped)\n"
    )
    read_end, write_end = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=write_end, text=True, check=True, timeout=30
        )
    finally:
        os.close(read_end)
        os.close(write_end)
    assert int(done.stdout) > 0


def test_a_line_needs_no_descriptor() -> None:
    """Python imports codecs at their first use; a daemon without a descriptor left could not, and died of a line."""
    code = """
import resource, sys
from tokend.machine.logs import configure, get_logger
configure(level="info", form="logfmt")
get_logger().info("first")
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
get_logger().info("second", detail="two\\nlines")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert r'detail="two\nlines"' in done.stderr
