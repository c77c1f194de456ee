"""``directory``: files of one set, rendered and kept true."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.files.children import names
from tests.sinks.leases import PLANTED, lease, sink
from tokend.values.errors import SinkError

FILES = {"token": "{{ access_token }}", "expires": "{{ expires_at_unix }}\n"}


def test_each_file_is_rendered_by_its_own_template(tmp_path: Path) -> None:
    """And replaced with the next token."""
    made = sink("directory", tmp_path / "set", files=FILES)
    made.probe()
    assert made.write(lease()) is True
    assert (tmp_path / "set" / "token").read_text() == PLANTED
    assert (tmp_path / "set" / "expires").read_text() == "1772452800\n"
    assert made.write(lease()) is False
    assert made.write(lease("planted-fake-second-token")) is True
    assert (tmp_path / "set" / "token").read_text() == "planted-fake-second-token"
    assert made.remove() is True
    assert names(tmp_path / "set") == set()


def test_it_can_hold_several_tokens(tmp_path: Path) -> None:
    """``tokens``, as for a template."""
    made = sink("directory", tmp_path / "set", files={"both": "{{ access_token }} {{ tokens.b.name }}"}, tokens=["b"])
    assert made.write_all(lease(), {"b": lease(name="b")}) is True
    assert (tmp_path / "set" / "both").read_text() == f"{PLANTED} b"
    assert made.model.difference(lease(), {"b": lease(name="b")}, None) is None
    assert made.model.difference(lease("planted-other"), {"b": lease(name="b")}, None) is not None


@pytest.mark.parametrize("name", ["", ".", "..", "..data", "a/b", "a b", "../x", "ä", "x" * 201])
def test_a_name_must_be_one_of_a_file_in_the_directory(name: str) -> None:
    """No path, and none of the names of the sets."""
    with pytest.raises(ValidationError, match="is no name"):
        sink("directory", Path("/set"), files={name: "x"})


@pytest.mark.parametrize(
    "keys", [{"files": {}}, {}, {"files": FILES, "write": "in-place"}, {"files": FILES, "symlink": "follow"}]
)
def test_settings_that_make_no_sense_are_refused(keys: dict[str, object]) -> None:
    """A set without files, or one that is not switched."""
    with pytest.raises(ValidationError):
        sink("directory", Path("/set"), **keys)


def test_a_template_that_fails_names_its_file(tmp_path: Path) -> None:
    """The other files stay as they are."""
    made = sink("directory", tmp_path / "set", files={"token": "{{ access_token }}", "bad": "{{ nothing }}"})
    with pytest.raises(SinkError, match=r"/set: bad: the template asks for 'nothing', which is not there"):
        made.write(lease())
    assert names(tmp_path) == set()


def test_what_would_fail_is_said_by_the_probe(tmp_path: Path) -> None:
    """A parent that is missing."""
    with pytest.raises(SinkError, match="nowhere does not exist"):
        sink("directory", tmp_path / "nowhere" / "set", files=FILES).probe()
    assert PLANTED not in repr(sink("directory", tmp_path, files={"a": PLANTED}).model)
