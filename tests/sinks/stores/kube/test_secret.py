"""The object that is applied to a Secret, and our part of one that is there."""

import json
import re

import pytest

from tokend.sinks.stores.kube.secret import annotation, applied, default_manager, found_in
from tokend.values.secret import Secret

# apimachinery, validation.IsQualifiedName: the part after the slash.
QUALIFIED = re.compile(r"tokend/([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")


def test_only_what_is_ours_is_applied() -> None:
    """Base64 in ``data``; no type, so that the Secret's own stays; the version only where it is known."""
    body = json.loads(applied("app", "team", version="41", values={"k": Secret(b"\xff")}, annotations={"a": "b"}))
    assert body == {
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "app", "namespace": "team", "resourceVersion": "41", "annotations": {"a": "b"}},
        "data": {"k": "/w=="},
    }  # fmt: skip
    assert json.loads(applied("app", "team")) == {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app", "namespace": "team"},
    }  # fmt: skip


def test_our_part_of_a_secret() -> None:
    """Bytes that are no text too; what is no Base64 differs from every value."""
    found = found_in(
        {
            "metadata": {"resourceVersion": "7", "annotations": {"a": "b", "c": 5}},
            "data": {"k": "/w==", "x": "?", "o": "bw=="},
        },
        ["k", "x", "missing"],
    )
    assert (found.version, found.annotations) == ("7", {"a": "b"})
    assert found.values == {"k": Secret(b"\xff"), "x": Secret("no Base64: ?")}
    assert found_in({"metadata": {"resourceVersion": "7"}, "data": None}, ["k"]).values == {}
    assert "/w==" not in repr(found)


@pytest.mark.parametrize(
    "key", ["JWT_TOKEN", "a.b-c_d", "k" * 253, "k" * 52, "k" * 53, "ends_", "ends-", "ends.", "_", "x"]
)
def test_an_annotation_has_a_name_that_the_server_takes(key: str) -> None:
    """At most 63 characters after the slash, and a letter or a digit at its end; others are hashed."""
    names = {annotation("writer", key), annotation("generation", key)}
    assert len(names) == 2
    for name in names:
        assert QUALIFIED.fullmatch(name)
        assert len(name.partition("/")[2]) <= 63
    if key == "JWT_TOKEN":
        assert names == {"tokend/writer.JWT_TOKEN", "tokend/generation.JWT_TOKEN"}


def test_the_manager_depends_on_the_key_alone() -> None:
    """Cut and hashed above 128 characters, so that two long keys do not have the same one."""
    assert default_manager("JWT_TOKEN") == "tokend.JWT_TOKEN"
    assert default_manager("k" * 121) == "tokend." + "k" * 121
    long = {default_manager("k" * 122 + end) for end in "ab"}
    assert {len(one) for one in long} == {128}
    assert len(long) == 2
    assert default_manager("k" * 200) == default_manager("k" * 200)
