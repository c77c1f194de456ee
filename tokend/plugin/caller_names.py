"""Names that callers give: what is said of those that a kind does not know. Whatever they are, it costs little.

Refused parameters count in no ``issue_rate``, and every reader waits while they are compared.
"""

from collections.abc import Collection, Iterable

from tokend.values.near_miss import did_you_mean

# Parameters of one query: thousands of them are a mistake, or an attack.
MOST_PARAMETERS = 100
# Unknown names that are reported, and those of them that are compared with the known ones.
MOST_REPORTED = 10
MOST_COMPARED = 3
LONGEST_COMPARED = 32
# Characters of a name in an answer.
LONGEST_SHOWN = 64


def unknown_parameters(given: Iterable[str], known: Collection[str]) -> dict[str, list[str]]:
    """Return the errors of the given names that are not ``known``: of the first few, and how many there are besides."""
    unknown = [name for name in given if name not in known]
    listed = ", ".join(known) or "none"
    errors: dict[str, list[str]] = {}
    for index, name in enumerate(unknown[:MOST_REPORTED]):
        is_compared = index < MOST_COMPARED and len(name) <= LONGEST_COMPARED
        near = did_you_mean(name, [one for one in known if len(one) <= LONGEST_COMPARED]) if is_compared else ""
        errors[name[:LONGEST_SHOWN]] = [f"is unknown; known are {listed}{near}"]
    if (more := len(unknown) - MOST_REPORTED) > 0:
        errors[unknown[MOST_REPORTED - 1][:LONGEST_SHOWN]].append(f"and {more} more are unknown")
    return errors
