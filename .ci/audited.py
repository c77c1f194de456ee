"""Judge a report of pip-audit: ``audited.py LOCK REPORT.json LOG``.

Exits with 1 if a locked version has a published vulnerability. Without an index that has advisories there is no
report, or no package in it was audited: that is said, and no failure.
"""

import json
import sys
from pathlib import Path


def main(lock: str, report: str, log: str) -> int:
    """Print the outcome; returns the exit code."""
    try:
        rows = json.loads(Path(report).read_text(encoding="utf-8"))["dependencies"]
    except (ValueError, KeyError, OSError):
        last = (Path(log).read_text(encoding="utf-8").strip().splitlines() or ["no output"])[-1]
        sys.stdout.write(f"{lock}: not audited: {last}\n")
        return 0
    audited = [row for row in rows if "skip_reason" not in row]
    found = [(row["name"], row["version"], one["id"]) for row in audited for one in row["vulns"]]
    for name, version, vulnerability in found:
        sys.stdout.write(f"{lock}: {name} {version}: {vulnerability}\n")
    unknown = "" if len(audited) == len(rows) else f", {len(rows) - len(audited)} unknown to this index"
    sys.stdout.write(f"{lock}: {len(audited)} versions audited, {len(found)} vulnerabilities{unknown}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
