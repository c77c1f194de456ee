"""Text of a configuration that may be shown: secrets that people write where a name belongs are replaced.

A name in a table of a sink, as in ``secret_name = "ghp_…"``, enters targets, messages and logs. A word is hidden if it
begins as the credentials of a known vendor, or looks random.
"""

import re
from itertools import pairwise

NOT_SHOWN = "(not shown)"
# Beginnings that vendors give their credentials, so that programs find them. All that follows is hidden, up to a #.
_BEGUN = re.compile(
    r"(?<![A-Za-z0-9_.-])(?:gh[opusr]_|github_pat_|gl[a-z]{2,6}-|sk[-_]|[rp]k_(?:live|test)_|whsec_|xox[a-z]-|xapp-"
    r"|hv[bsr]\.|eyJ[A-Za-z0-9_-]{6}|A(?:KIA|SIA)[A-Z0-9]{12}|AIza[A-Za-z0-9_-]{20}|ya29\.|GOCSPX-|npm_[A-Za-z0-9]{20}"
    r"|pypi-[A-Za-z0-9_-]{20}|do[opr]_v1_|dp\.[a-z]{2,6}\.|rnd_[A-Za-z0-9]{16}|fm[12][a-z]?_|fo1_"
    r"|SG\.[A-Za-z0-9_-]{10}|AT[AC]TT|shp[a-z]{2}_|HRKU-|tskey-|AGE-SECRET-KEY-|nfp_[A-Za-z0-9]{16}"
    r"|vc[a-z]_[A-Za-z0-9]{16}|S[ACNOUX][A-Z2-7]{50}|-----BEGIN)(?:[^\s\"',;#]*[^\s\"',;:#])?"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX = re.compile(r"[0-9a-fA-F]{32,}")
_CLASSES = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "A" * 26 + "a" * 26 + "0" * 10
)
# What separates the parts of a target and the words of a message.
_WORD = re.compile(r"[^\s/:#,;@'\"()\[\]{}<>]+")
_JOINT = re.compile(r"[-_+=~]+")
# A shorter word, or one of fewer different characters, does not look random.
_SHORTEST, _FEWEST = 20, 8
# The share of neighbours of different classes (upper case, lower case, digits): above it in almost all random words,
# below it in names. A capital letter followed by a small one begins a word of a name.
_RANDOM_SHARE = 0.22


def shown(text: str) -> str:
    """Replace the words of ``text`` that look like secrets by `NOT_SHOWN`."""
    return _WORD.sub(lambda word: NOT_SHOWN if _is_secretive(word[0]) else word[0], _BEGUN.sub(NOT_SHOWN, text))


def looks_secret(text: str) -> bool:
    """Return whether a word of ``text`` looks like a secret."""
    return begins_as_secret(text) or any(_is_secretive(word[0]) for word in _WORD.finditer(text))


def begins_as_secret(text: str) -> bool:
    """Return whether a word of ``text`` begins as the credentials of a known vendor do."""
    return _BEGUN.search(text) is not None


def _is_secretive(word: str) -> bool:
    if len(word) < _SHORTEST or _UUID.fullmatch(word):
        return False
    for part in word.split("."):
        runs = _JOINT.split(part)
        if any(_is_random(run) for run in (*runs, "".join(runs))):
            return True
    return False


def _is_random(run: str) -> bool:
    if len(run) < _SHORTEST or len(set(run)) < _FEWEST or not run.isascii() or not run.isalnum():
        return False
    if _HEX.fullmatch(run):
        return True
    classes = run.translate(_CLASSES)
    changes = sum(a != b and (a, b) != ("A", "a") for a, b in pairwise(classes))
    return changes > _RANDOM_SHARE * len(run)
