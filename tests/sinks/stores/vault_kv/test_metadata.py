"""Entries of tokend in the metadata of a secret, and the reading of what is there."""

from typing import Any

import pytest

from tokend.sinks.stores.vault_kv.metadata import SecretMetadata, cleared, listed, parsed, written

ENTRY = {"created_time": "t", "deletion_time": "", "destroyed": False}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"current_version": True, "versions": {}},
        {"current_version": -1, "versions": {}},
        {"current_version": "1", "versions": {}},
        {"current_version": 1, "versions": [1]},
        {"current_version": 1, "versions": {"1": 5}},
        {"current_version": 1, "versions": {}, "custom_metadata": "x"},
    ],
)
def test_what_is_no_metadata_is_refused(data: dict[str, Any]) -> None:
    """Nothing is written on top of what is not understood."""
    assert parsed(data) is None


def test_versions_and_their_ends() -> None:
    """A version with a time of deletion may have ended; a destroyed one is not kept."""
    versions = {"1": {**ENTRY, "destroyed": True}, "2": ENTRY, "10": {**ENTRY, "deletion_time": "2030-01-01T00:00:00Z"}}
    found = parsed({"current_version": 10, "versions": versions, "custom_metadata": None})
    assert found == SecretMetadata(10, ended=True, kept=(2, 10), custom={})
    assert parsed({"current_version": 2, "versions": {"2": ENTRY}}) == SecretMetadata(2, ended=False, kept=(2,))


def test_entries_are_per_key_and_those_of_the_secret_count_only_alone() -> None:
    """Several daemons may share a secret; each of its keys has one."""
    found = SecretMetadata(custom=written("a" * 32, 7, ["x"]))
    assert (found.writer_of("x"), found.generation_of("x")) == ("a" * 32, "7")
    assert (found.writer_of("y"), found.generation_of("y")) == (None, None)
    alone = SecretMetadata(custom={"tokend-writer": "b" * 32, "tokend-generation": "3"})
    assert (alone.writer_of("x"), alone.generation_of("x")) == ("b" * 32, "3")


def test_what_is_cleared_is_ours() -> None:
    """The entries of other keys stay, and the one of the secret with the last of them."""
    both = written("a" * 32, 7, ["x", "y"]) | {"owner": "somebody"}
    assert cleared(SecretMetadata(custom=both), ["x"]).keys() == {"tokend-writer.x", "tokend-generation.x"}
    one = written("a" * 32, 7, ["x"])
    assert cleared(SecretMetadata(custom=one | {"owner": "somebody"}), ["x"]) == dict.fromkeys(one)


def test_the_server_takes_every_name_and_number_of_entries() -> None:
    """At most 64, of at most 128 bytes each, printable: long and odd keys are hashed."""
    entries = written("a" * 32, 7, ["k" * 200, "a\nb", "é" * 100, *(f"k{number}" for number in range(100))])
    assert len(entries) <= 64
    assert all(len(name.encode()) <= 128 and name.isprintable() for name in entries)
    assert SecretMetadata(custom=entries).generation_of("k" * 200) == "7"
    assert SecretMetadata(custom=entries).generation_of("k" * 201) is None


@pytest.mark.parametrize(
    ("versions", "said"), [([], ""), ([3], "3"), ([7, 2, 4, 5, 6], "2, 4-7"), ([1, 2], "1-2"), ([1, 3], "1, 3")]
)
def test_versions_are_listed_in_runs(versions: list[int], said: str) -> None:
    """For a person."""
    assert listed(versions) == said
