"""The alert rules for Prometheus: valid, of metrics that exist, and tried on series by promtool."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.api.fake_engine import FakeEngine
from tokend.api.metrics_page import MetricsPage
from tokend.engine.context.counters import Counters

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docs/prometheus/alerts.yml"
SERIES = Path(__file__).with_name("alerts_test.yml")


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("needs promtool (package prometheus)")
    return found


def test_promtool_accepts_the_rules(promtool: str) -> None:
    """All of them."""
    done = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True)
    number = len(re.findall("- alert:", RULES.read_text()))
    assert (done.returncode, f"{number} rules found" in done.stdout) == (0, True), done.stdout + done.stderr


def test_each_alert_is_fired_by_its_series_and_by_no_other(promtool: str, tmp_path: Path) -> None:
    """What the series are stands in the file beside this one."""
    for file in (RULES, SERIES):
        shutil.copy(file, tmp_path)
    command = [promtool, "test", "rules", SERIES.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for alert in re.findall(r"- alert: (\w+)", RULES.read_text()):
        assert f'alertname="{alert}"' in SERIES.read_text() or f"alertname: {alert}" in SERIES.read_text()


def test_the_rules_use_metrics_that_tokend_has() -> None:
    """A rule about a metric that nobody writes never fires."""
    page = asyncio.run(MetricsPage(FakeEngine(), Counters(), lambda: True, lambda: 0).page([], {}))
    used = set(re.findall(r"\btokend_\w+", RULES.read_text()))
    known = set(re.findall(r"^# TYPE (\w+)", page.decode(), re.MULTILINE))
    assert used <= known, used - known
