"""One figure beside its bound, and a table of them as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; ``holds`` is None where nothing is demanded."""

    name: str
    seen: str
    bound: str = ""
    holds: bool | None = None


def markdown(rows: Sequence[Row]) -> str:
    """A table of them."""
    lines = ["| figure | seen | bound | |", "| --- | --- | --- | --- |"]
    for row in rows:
        verdict = {None: "", True: "holds", False: "**BROKEN**"}[row.holds]
        lines.append(f"| {row.name} | {row.seen} | {row.bound} | {verdict} |")
    return "\n".join(lines)
