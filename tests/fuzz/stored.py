"""Stored input: `.env` files that people edit too, the records of the state directory, the image in a memfd."""

import os
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from types import UnionType
from typing import Any, Union, get_args, get_origin

from tokend.engine.records.codec import dump, load
from tokend.engine.records.record import Record, re_anchored
from tokend.engine.records.shared_login import dump_shared, load_shared
from tokend.sinks.files import patching
from tokend.sinks.files.dotenv_format import Style, UneditableError, UnencodableError, _assignments, edit, encode
from tokend.sinks.files.patching import Pointer, Value, parse_pointer
from tokend.sinks.files.patching import edit as patched
from tokend.state import fdstore
from tokend.state.salt import SALT_BYTES
from tokend.values.errors import StoreError
from tokend.values.instant import Instant
from tokend.values.secret import Secret

NOW = Instant(datetime(2026, 3, 1, tzinfo=UTC), 5000.0)
FORMATS: tuple[patching.Format, ...] = ("json", "yaml", "toml", "ini", "netrc")
POINTERS: dict[patching.Format, tuple[str, ...]] = {
    "json": ("/a", "/a/b", "/0/a"), "yaml": ("/a", "/a/b", "/0/a"), "toml": ("/a", "/a/b", "/a/0/b"),
    "ini": ("/a", "/a/b"), "netrc": ("/a/login", "/a/password"),
}  # fmt: skip
VALUE = "new-fake-token-of-ours"
STYLES: tuple[Style, ...] = ("portable", "quoted", "posix", "raw")
SECRET = "planted-fake-value-of-somebody-else"


def dotenv(data: bytes) -> None:
    """First line: style and the new value. What follows is a file: an edit is found again, and touches nothing else."""
    head, _, content = data.partition(b"\n")
    style, value = STYLES[(head or b"\0")[0] % 4], head[1:].decode("utf-8", "replace")
    try:
        written = encode(value, style)
    except UnencodableError as error:
        assert len(value) < 4 or value not in str(error)
        written = "obviously-fake"
    try:
        once = edit(content, {"KEY": written})
    except UneditableError as error:
        assert SECRET not in str(error)
        return
    assert edit(once, {"KEY": written}) == once
    other = edit(once, {"KEY": "x"})
    assert edit(other, {"KEY": "x"}) == other
    assert _others(once) == _others(content)
    if b"KEY" not in content:
        assert once.startswith(content)
    gone = edit(once, {"KEY": ""}, append=False)
    assert edit(gone, {"KEY": ""}, append=False) == gone


def patch(data: bytes) -> None:
    """First byte: the format, and what is done. The rest is a file: it is edited and edited again, or left alone."""
    form, content = FORMATS[(data or b"\0")[0] % 5], data[1:]
    pointers = [parse_pointer(text) for text in POINTERS[form]]
    for pointer in pointers:
        values: dict[Pointer, Value | None] = {pointer: Value(VALUE)}
        try:
            once = patched(content, form, values)
        except patching.UneditableError as error:
            assert SECRET not in str(error)
            continue
        assert VALUE.encode() in once
        assert patched(once, form, values) == once
        other = patched(once, form, {pointer: Value("x")})
        assert VALUE.encode() not in other or VALUE.encode() in content
        try:
            gone = patched(once, form, {pointer: None})
        except patching.UneditableError:
            continue
        assert patched(gone, form, {pointer: None}) == gone


def _others(content: bytes) -> list[tuple[str, bytes]]:
    """All assignments but those of KEY, in order."""
    return [(found.key, found.value(content)) for found in _assignments(content) if found.key != "KEY"]


def state(data: bytes) -> None:
    """Any bytes as a provider's record: set aside, or a record of the right types that is kept as it was read."""
    for boot_id in ("boot-1", "another"):
        try:
            name, record = load(data, boot_id=boot_id, now=NOW)
        except StoreError as error:
            assert SECRET not in error.detail
            continue
        assert _fits(record, Record), record
        again = load(dump(name, record, boot_id), boot_id=boot_id, now=NOW)
        assert again == (name, record)
        re_anchored(record, NOW)
        if record.lease is not None:
            assert record.lease.name == name
            record.lease.token.is_valid(NOW)


def login_file(data: bytes) -> None:
    """Any bytes as a login file: refused, or a content that is kept as it was read."""
    for boot_id in ("boot-1", "another"):
        try:
            shared = load_shared(data, boot_id=boot_id, now=NOW)
        except StoreError as error:
            assert SECRET not in error.detail
            continue
        again = load_shared(dump_shared(shared, boot_id), boot_id=boot_id, now=NOW)
        assert again == shared


def image(data: bytes) -> None:
    """Any bytes in the memory that systemd kept: an image that is whole, or none."""
    memory = os.memfd_create("fuzzed")
    try:
        os.pwrite(memory, data, 0)
        found = fdstore._image(memory)
        if found is not None:
            dict(fdstore._unpacked(found[SALT_BYTES:]))
    finally:
        os.close(memory)


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value, and everything inside of it, is what its annotation says."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if isinstance(hint, str):
        return True
    if hint in (float, int):
        return isinstance(value, int | hint) and not isinstance(value, bool) and value - value == 0
    if origin is not None:
        first, inner = get_args(hint)
        if inner is ...:
            return isinstance(value, origin) and all(_fits(one, first) for one in value)
        return isinstance(value, origin) and all(isinstance(k, str) and _fits(v, inner) for k, v in value.items())
    if not isinstance(value, hint):
        return False
    if isinstance(value, Secret):
        return isinstance(value.reveal_bytes(), bytes)
    return not is_dataclass(hint) or all(_fits(getattr(value, field.name), field.type) for field in fields(hint))
