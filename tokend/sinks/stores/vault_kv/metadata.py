"""Metadata of a secret of KV version 2: its versions, and who wrote each key (``custom_metadata``).

``tokend-writer.KEY`` and ``tokend-generation.KEY`` belong to one key of the secret: several daemons may share a secret.
``tokend-writer`` is the tokend that wrote last.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

WRITER, GENERATION = "tokend-writer", "tokend-generation"
# The server takes 64 entries, and names of 128 bytes. All keys of one sink are written together: some are enough.
_MOST_KEYS = 20
_LONGEST_KEY = 100


@dataclass(frozen=True, slots=True)
class SecretMetadata:
    """The metadata; ``version`` is 0 where the secret never existed.

    ``ended`` says that the current version is destroyed, or has or had a time of deletion. ``kept`` are the versions
    whose values the store still has.
    """

    version: int = 0
    ended: bool = True
    kept: tuple[int, ...] = ()
    custom: Mapping[str, str] = field(default_factory=dict)

    def writer_of(self, key: str) -> str | None:
        """Return the id of the tokend that wrote this key, None if none has."""
        return self._of(WRITER, key)

    def generation_of(self, key: str) -> str | None:
        """Return the generation of the token in this key, as it is written there."""
        return self._of(GENERATION, key)

    def _of(self, name: str, key: str) -> str | None:
        # Without a word about any key, the one about the whole secret counts.
        of_keys = any(one.startswith(f"{name}.") for one in self.custom)
        return self.custom.get(_entry(name, key) if of_keys else name)


def parsed(data: Mapping[str, Any]) -> SecretMetadata | None:
    """Parse the member ``data`` of an answer about metadata; None if it is no such thing."""
    version, versions, custom = (
        data.get("current_version"),
        data.get("versions") or {},
        data.get("custom_metadata") or {},
    )
    if type(version) is not int or version < 0 or not isinstance(versions, dict) or not isinstance(custom, dict):
        return None
    if not all(isinstance(one, dict) for one in versions.values()):
        return None
    kept = sorted(int(number) for number, one in versions.items() if number.isdecimal() and not one.get("destroyed"))
    current = versions.get(str(version), {})
    return SecretMetadata(
        version,
        bool(version == 0 or current.get("destroyed") or current.get("deletion_time")),
        tuple(kept),
        {name: text for name, text in custom.items() if isinstance(text, str)},
    )


def written(writer: str, generation: int, keys: Iterable[str]) -> dict[str, str]:
    """Return the entries after a write of these keys."""
    told = list(keys)[:_MOST_KEYS]
    return {
        WRITER: writer,
        **{_entry(WRITER, key): writer for key in told},
        **{_entry(GENERATION, key): str(generation) for key in told},
    }


def cleared(found: SecretMetadata, keys: Iterable[str]) -> dict[str, None]:
    """Return the entries to delete after a removal of these keys."""
    ours = {_entry(name, key) for name in (WRITER, GENERATION) for key in keys}
    rest = [one for one in found.custom if one.startswith((f"{WRITER}.", f"{GENERATION}.")) and one not in ours]
    ours |= set() if rest else {WRITER, GENERATION}
    return dict.fromkeys(sorted(ours & found.custom.keys()))


def _entry(name: str, key: str) -> str:
    usable = key.isprintable() and len(key.encode()) <= _LONGEST_KEY
    return f"{name}.{key if usable else hashlib.sha256(key.encode()).hexdigest()[:32]}"


def listed(versions: Iterable[int]) -> str:
    """Return versions for a person: ``2, 4-7``."""
    runs: list[list[int]] = []
    for version in sorted(versions):
        if runs and runs[-1][1] == version - 1:
            runs[-1][1] = version
        else:
            runs.append([version, version])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
