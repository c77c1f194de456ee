"""The annotated example of the configuration, ``config.toml.example``, whole or for some kinds of providers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tokend

NAME = "config.toml.example"
NOTHING: Mapping[str, str] = {}
_RULE = re.compile(r"# (=+|-+)$")
# The example's own convention: "#key = value  # required", and "#key = { env = … }" for credentials.
_KEY = re.compile(r"#(?P<key>\w+) = (?P<value>.*)$")
_REQUIRED = re.compile(r" +# required$")
_SECRET = re.compile(r"\{ (env|file|credential|command) = ")
# Credentials have two forms; the login is the one that lasts.
_INSTEAD = frozenset({"initial_token"})
# One of two keys is needed: this one, unless the reader chooses the other.
_INSTEAD_OF_ANOTHER = frozenset(
    {
        ("github-app", "installation"),
        ("google-service-account", "scope"),
        ("oauth2", "token_url"),
        ("oauth2", "client_id"),
    }
)
_INTRODUCTION = """\
# tokend: a configuration for {kinds}.
#
# What has to be there is in force; fill in the values. Remove the # before each other line that you need, and run
# `tokend check`: it reports all errors at once, each with its place. `tokend init --output -` prints the example with
# every key of every kind. tokend reads the file again when it changes, on SIGHUP and on `tokend reload`; a file with an
# error changes nothing.
"""


@dataclass(frozen=True, slots=True)
class _Section:
    """A part of the example: its title (``tt: Trading Technologies …``), and its lines, those of the title included."""

    title: str
    lines: tuple[str, ...]

    @property
    def kind(self) -> str | None:
        """The kind of provider that the section is about."""
        return next((line.split('"')[1] for line in self.lines if line.startswith("#kind = ")), None)


def whole() -> str:
    """Return the whole example. Raises OSError."""
    package = Path(tokend.__file__).parent
    # A wheel has it in the package, a checkout beside it.
    places = (package / NAME, package.parent / NAME)
    return next((place for place in places if place.exists()), places[0]).read_text(encoding="utf-8")


def with_state_key(text: str) -> str:
    """Put the line of the state's key in force: the credential is there that the package made."""
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line == "#[daemon]\n" or line.startswith("#state_key = { credential = "):
            lines[number] = line[1:].replace(" # no default", "").rstrip() + "\n"
    return "".join(lines)


def kinds() -> list[str]:
    """Return the kinds of providers that the example has."""
    return [kind for section in _sections(whole()) if section.title and (kind := section.kind) is not None]


def of_kinds(wanted: Sequence[str], tables: Mapping[str, str] = NOTHING) -> str:
    """Return a configuration for these kinds of providers: required keys are in force, all others are comments.

    ``tables`` are further ones, ready to be filled in, by the name of their vendor.
    """
    head, *sections = _sections(whole())
    found = {section.kind: section for section in sections if section.kind is not None}
    parts = [_INTRODUCTION.format(kinds=", ".join((*wanted, *tables))), *_rules_of_writing(head)]
    parts += ["\n\n" + _text(section.lines) for section in sections if section.title.startswith("The daemon.")]
    for kind in wanted:
        parts.append("\n\n" + _text(_in_force(found[kind].lines)))
    parts += [f"\n\n{table}" for table in tables.values()]
    if not any(_has_sinks(found[kind]) for kind in wanted):
        parts += _sinks_for(wanted, found)
    return "".join(parts)


def _sections(text: str) -> list[_Section]:
    """Split the example at the rules of =; the first section is what stands before them."""
    lines = text.splitlines()
    rules = [number for number, line in enumerate(lines) if _RULE.match(line) and "=" in line]
    starts = rules[::2]
    sections = [_Section("", tuple(lines[: starts[0]]))]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        sections.append(_Section(lines[start + 1].removeprefix("# "), tuple(lines[start:end])))
    return sections


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines).strip("\n") + "\n"


def _rules_of_writing(head: _Section) -> list[str]:
    """Return the example's explanation of values, and the key ``include``."""
    start = next(number for number, line in enumerate(head.lines) if line.startswith("# How to write values"))
    return ["#\n", _text(head.lines[start:])]


def _in_force(lines: Sequence[str]) -> list[str]:
    """Put the provider's first table, its required keys and its credentials in force, up to its first sink."""
    found: list[str] = []
    in_table = False
    table = next(line for line in lines if line.startswith("#[providers."))
    kind = next(line.split('"')[1] for line in lines if line.startswith("#kind = "))
    for line in lines:
        if line.startswith("#["):
            in_table = line == table
            found.append(line[1:] if in_table else line)
            continue
        key = _KEY.match(line) if in_table else None
        needed = key is not None and (
            key["key"] == "kind"
            or (kind, key["key"]) in _INSTEAD_OF_ANOTHER
            or _REQUIRED.search(line) is not None
            or (_SECRET.match(key["value"]) is not None and key["key"] not in _INSTEAD)
        )
        found.append(line[1:] if needed else line)
    return found


def _has_sinks(section: _Section) -> bool:
    return any(line.startswith("#[[") for line in section.lines)


def _sinks_for(wanted: Sequence[str], found: dict[str, _Section]) -> list[str]:
    """Return the example's sinks, for the first of the wanted providers that holds a token."""
    from tokend.kinds import PROVIDERS  # imports the kinds

    held = (kind for kind in wanted if (model := PROVIDERS.get(kind)) and "refresh_before" in model.model_fields)
    if (kind := next(held, None)) is None:
        return []
    section = next(section for section in found.values() if any(line.startswith("# Sinks") for line in section.lines))
    start = next(number for number, line in enumerate(section.lines) if line.startswith("# Sinks")) - 1
    old, new = _table(section), _table(found[kind])
    return ["\n\n" + _text([line.replace(f"[[{old}.", f"[[{new}.") for line in section.lines[start:]])]


def _table(section: _Section) -> str:
    return next(line[2:-1] for line in section.lines if line.startswith("#[providers."))
