"""Compare the lock files with what they are made from. Needs no package index.

``python .ci/lock/check.py`` prints each requirement whose lock is missing, has no hash, or holds a version that the
requirement excludes. It exits with 1 if there is one. It does not look for newer versions.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

LOCKS = Path(__file__).resolve().parent
PROJECT = LOCKS.parents[1]
# Extras that the Debian package and the container have, as in scripts/lock.
OF_SINKS = ("github", "keyring", "nats", "patch", "redis")
PIN = re.compile(r"^([\w.-]+)==(\S+)(?: ; [^\\\n]*)?((?:\s*\\\n +--hash=sha256:[0-9a-f]{64})*)", re.MULTILINE)


def wanted() -> dict[str, list[str]]:
    """The requirements that each lock was made from."""
    document = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime = document["project"]["dependencies"]
    sources = {
        path.stem: [line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines()]
        for path in LOCKS.glob("*.in")
    }
    sources["build"] += document["build-system"]["requires"]
    extras = document["project"]["optional-dependencies"]
    of_sinks = [one for name in OF_SINKS for one in extras[name]]
    test = [*runtime, *extras["test"], *sources["build"]]
    return sources | {"runtime": runtime, "package": [*runtime, *of_sinks], "test": test}


def problems(lock: str, requirements: list[str], pinned: Mapping[NormalizedName, str]) -> Iterator[str]:
    """What is wrong with one lock."""
    for text in filter(str.strip, requirements):
        requirement = Requirement(text)
        version = pinned.get(canonicalize_name(requirement.name))
        if version is None:
            yield f".ci/lock/{lock}.txt: {text} is not locked; run scripts/lock"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f".ci/lock/{lock}.txt: {text} excludes the locked {version}; run scripts/lock"


def main() -> int:
    """Print every problem."""
    found: list[str] = []
    of_test: dict[NormalizedName, str] = {}
    for lock, requirements in sorted(wanted().items(), key=lambda each: each[0] != "test"):
        pins = PIN.findall((LOCKS / f"{lock}.txt").read_text(encoding="utf-8"))
        pinned = {canonicalize_name(name): version for name, version, _ in pins}
        of_test = of_test or pinned
        found += problems(lock, requirements, pinned)
        found += [f".ci/lock/{lock}.txt: {name} has no hash" for name, _, hashes in pins if not hashes]
        if lock not in ("counterparts", "schemathesis", "project-x-py"):  # each has an environment of its own
            found += [
                f".ci/lock/{lock}.txt: {name} is {version}, but {of_test[name]} in test.txt; run scripts/lock"
                for name, version in pinned.items()
                if of_test.get(name, version) != version
            ]
    sys.stdout.writelines(f"{each}\n" for each in found)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
