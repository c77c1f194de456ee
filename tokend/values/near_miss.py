"""The known word that a misspelt word resembles, for error messages."""

from collections.abc import Iterable

# Least similarity (`difflib`) of a near miss. Misspelt words are above it, different keys of our tables below it.
NEAR = 0.6


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = NEAR) -> str:
    """Return ``; did you mean "…"?`` if ``word`` is a near miss of a known word, else an empty string."""
    near = nearest(word, known, cutoff=cutoff)
    return "" if near is None else f'; did you mean "{near}"?'


def nearest(word: str, known: Iterable[str], *, cutoff: float = NEAR) -> str | None:
    """Return the known word that differs from ``word`` only in case, else the most similar one, else None.

    ``cutoff`` is the least similarity, 0 to 1.
    """
    import difflib  # 5 ms, and only a misspelt word needs it

    known = list(known)
    if (same := next((other for other in known if other.lower() == word.lower()), None)) is not None:
        return same

    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=cutoff)), None)
