"""A secret that was written instead of its place is in no message of a check or an attempt, and in no repr."""

from pathlib import Path

import pytest

from tests.config.written import ENVIRON, PARTNER, loaded, only, refused, written
from tokend.plugin.secret_reading import read_secret
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.shown_text import NOT_SHOWN
from tokend.values.errors import SecretError

PLANTED = "sk-Obviously+Fake/Secret"
LONG = "A" * 41


@pytest.mark.parametrize(
    "place",
    [
        f'{{ env = "{PLANTED}" }}',
        f'{{ env = "{LONG}" }}',
        '{ env = "1PLANTED" }',
        '{ env = "ghp_PLANTED" }',
        '{ credential = "sk-planted" }',
        f'{{ credential = "{PLANTED}" }}',
        '{ credential = "PLANTED" }',
        f'{{ file = "{PLANTED}" }}',
        '{ file = "PLANTED" }',
        '{ file = ".PLANTED" }',
        f'{{ command = ["{PLANTED}-is-no-program"] }}',
    ],
)
def test_a_secret_in_the_place_of_a_name_is_not_shown(tmp_path: Path, place: str) -> None:
    """People paste the value instead of its name, and copy messages into tickets."""
    text = PARTNER.replace('{ env = "KEY" }', place)
    if "command" in place:
        source = loaded(written(tmp_path, text)).providers["partner"].settings.secrets()["secret"]
        with pytest.raises(SecretError) as raised:
            read_secret(source, ENVIRON)
        said = f"{raised.value} {source} {source!r}"
    else:
        said = str(only(refused(written(tmp_path, text))))
    assert NOT_SHOWN in said
    for planted in (PLANTED, LONG, "PLANTED", "planted"):
        assert planted not in said


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ('{ env = "_Key_1" }', "environment variable _Key_1 is not set"),
        (f'{{ env = "{"A" * 40}" }}', f"environment variable {'A' * 40} is not set"),
        ('{ credential = "tt.key-1_a" }', "credential tt.key-1_a: $CREDENTIALS_DIRECTORY is not set; add"),
        ('{ file = "/no/such/File" }', "file /no/such/File cannot be read"),
        ('{ file = "./keys/one" }', "/keys/one cannot be read"),
        ('{ file = "../keys/one" }', "/../keys/one cannot be read"),
    ],
)
def test_a_name_is_shown(tmp_path: Path, place: str, shown: str) -> None:
    """The operator has to correct the name. The excerpt shows it too."""
    problem = only(refused(written(tmp_path, PARTNER.replace('{ env = "KEY" }', place))))
    assert shown in problem.message
    assert place in problem.excerpt


def test_a_syntax_error_shows_no_place(tmp_path: Path) -> None:
    """A value in a document that cannot be parsed may be anything."""
    text = f'[providers.partner]\nkind = "jwt"\n[providers.partner.secret]\nenv = "{PLANTED}\n'
    assert PLANTED not in str(only(refused(written(tmp_path, text))))


def test_a_command_is_named_while_it_is_a_program_or_a_path() -> None:
    """``sh`` is an installed program. A path is shown even if no file is there."""
    assert str(SecretSource(command=("sh", "-c", "x"))) == "command sh"
    assert str(SecretSource(command=("/no/such/program",))) == "command /no/such/program"
    assert str(SecretSource(command=("sk-no-such-program",))) == f"command {NOT_SHOWN}"


def test_equal_places_are_equal_however_they_are_shown(tmp_path: Path) -> None:
    """A reload compares the files, not their spellings."""
    context = {"directory": str(tmp_path)}
    one = SecretSource.model_validate({"file": "key"}, context=context)
    other = SecretSource.model_validate({"file": f"{tmp_path}/key"}, context=context)
    assert one == other
    assert one.place == other.place
    assert str(one) != str(other)
