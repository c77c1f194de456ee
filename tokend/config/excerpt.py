"""Excerpts: one line of a configuration for a terminal or a log, with its secrets masked and a caret's position."""

from bisect import bisect_left
from collections.abc import Callable, Sequence

from tokend.plugin.toml_positions import Layout, Path

MASK = "…"
# Longest excerpt in characters: a terminal's width without the indentation. A longer line is cut around the caret.
LONGEST = 112
# Characters kept before the caret in a line that is cut.
BEFORE = 60


def excerpt(
    text: str, line: tuple[int, int], offset: int, layout: Layout, visible: Callable[[Path], bool]
) -> tuple[str, int]:
    """Return a line as it may be shown, and the number of terminal cells before ``offset``.

    The line is ``text`` from ``line[0]`` to before ``line[1]``. A value is masked if its path is not ``visible``, or if
    it contains an @, which follows the password in a URL. Comments are left out: a comment may contain an old password.
    """
    start, end = line
    pieces, caret, at = [""], None, start
    for first, last, path in _spans(layout, start, end):
        between = text[at:first]
        if caret is None and offset < first:
            caret = _length(pieces) + max(0, offset - at)
        pieces.append(between)
        shown = path is not None and visible(path) and "@" not in text[first:last]
        if caret is None and offset < last:
            # The caret points at the start of a value: a place inside a masked value cannot be shown.
            caret = _length(pieces)
        if path is not None:
            pieces.append(text[max(first, start) : min(last, end)] if shown else _masked(text, first, start))
        at = min(last, end)
    if caret is None:
        caret = _length(pieces) + max(0, offset - at)
    pieces.append(text[at:end])
    return fit("".join(pieces), caret)


def fit(line: str, caret: int) -> tuple[str, int]:
    """Make a line printable, cut a long line around the caret, and return it with the terminal cells before the caret.

    ``caret`` is an index into ``line``.
    """
    line = "".join(c if c.isprintable() else " " for c in line).rstrip()
    caret = min(caret, len(line))
    if len(line) > LONGEST and caret > BEFORE:
        cut = caret - BEFORE
        line, caret = MASK + line[cut:], BEFORE + len(MASK)
    if len(line) > LONGEST:
        line = line[:LONGEST] + MASK
    return line, sum(_cells(c) for c in line[:caret])


def _spans(layout: Layout, start: int, end: int) -> Sequence[tuple[int, int, Path | None]]:
    """Return the values and comments that overlap the line, in order, each with its path (None for a comment)."""
    first = bisect_left(layout.values, start, key=lambda span: span.end)
    last = bisect_left(layout.values, end, key=lambda span: span.start)
    comments = layout.comments
    low, high = bisect_left(comments, start, key=lambda span: span[0]), bisect_left(comments, (end, end))
    found: list[tuple[int, int, Path | None]] = [(v.start, v.end, v.path) for v in layout.values[first:last]]
    return sorted(found + [(a, b, None) for a, b in comments[low:high]], key=lambda span: span[:2])


def _masked(text: str, first: int, start: int) -> str:
    quote = text[first]
    return f"{quote}{MASK}{quote}" if first >= start and quote in "\"'" else MASK


def _length(pieces: list[str]) -> int:
    return sum(map(len, pieces))


def _cells(character: str) -> int:
    import unicodedata  # a quarter of a megabyte: only for an error

    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
